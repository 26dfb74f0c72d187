//! A revocation, between the group's wish and our answer.

use super::{
    client::Client,
    fault::{self, Fault, check},
    list::List,
};
use crate::record::Partition;
use rdkafka::bindings as rd;
use std::ffi::CStr;

/// Partitions that the group wants back. librdkafka waits with its next step until it is answered; meanwhile it keeps
/// the membership alive and fetches nothing.
pub(super) struct Revocation {
    list: List,
    /// Only these partitions go; else the whole assignment does.
    incremental: bool,
}

impl Revocation {
    pub fn new(client: &Client, list: List) -> Revocation {
        Revocation { list, incremental: is_cooperative(client) }
    }

    pub fn partitions(&self) -> Vec<Partition> {
        self.list.partitions()
    }

    /// Gives the partitions back.
    pub fn answer(self, client: &Client) -> Result<(), Fault> {
        let what = "cannot give partitions back";
        // SAFETY: client and list are live; the list is copied, the error object returned is ours.
        unsafe {
            if self.incremental {
                fault::take(rd::rd_kafka_incremental_unassign(client.ptr(), self.list.ptr()), what)
            } else {
                check(rd::rd_kafka_assign(client.ptr(), std::ptr::null()), what)
            }
        }
    }
}

/// Whether the group moves partitions one by one (cooperative-sticky, KIP-848) or all at once (range and others).
pub(super) fn is_cooperative(client: &Client) -> bool {
    // SAFETY: the client is live; the answer is a static C string, or null for a client without a group.
    unsafe {
        let protocol = rd::rd_kafka_rebalance_protocol(client.ptr());
        !protocol.is_null() && CStr::from_ptr(protocol).to_bytes() == b"COOPERATIVE"
    }
}
