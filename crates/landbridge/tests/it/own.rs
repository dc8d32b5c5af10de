//! An origin of one's own under hard conditions: killed, collected while clients push, and given
//! more than its memory holds. Everything here is a process of its own.

mod bucket;
mod collected;
mod killed;
mod large;
mod pusher;
