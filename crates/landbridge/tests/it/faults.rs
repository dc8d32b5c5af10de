//! Replication when everything goes wrong that can: killed, raced, out of space, fed nonsense.
//! Everything under test is a process of its own, and what it leaves is looked at from outside.

mod faces;
mod foreign;
mod full;
mod killed;
mod looked;
mod racing;
mod sources;
mod stores;
mod trouble;
mod world;
