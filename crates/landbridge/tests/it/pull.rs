//! Real clients pull through a front: the bytes arrive identical, from the copy that they should come from.

mod embedded;
mod live;
mod pushed;
mod unpublished;
