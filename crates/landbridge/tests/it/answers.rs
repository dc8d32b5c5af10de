//! Whole answers, read like code: status, headers and content of everything that a client may ask.

mod delivery;
mod reading;
mod reloading;
mod secure;
