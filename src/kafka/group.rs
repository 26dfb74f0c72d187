//! Proof of membership for an offset commit inside a transaction.

use super::fault::{Fault, Kind};
use rdkafka::{bindings as rd, types::RDKafkaErrorCode};
use std::{ffi::CStr, fmt, ptr::NonNull};

/// A consumer group's metadata as librdkafka gives it: group, generation, member. A broker refuses a commit under a
/// generation that has passed.
pub struct GroupMetadata(NonNull<rd::rd_kafka_consumer_group_metadata_t>);

// SAFETY: plain memory that nobody changes after it is made.
unsafe impl Send for GroupMetadata {}
// SAFETY: as above.
unsafe impl Sync for GroupMetadata {}

impl GroupMetadata {
    /// Takes metadata over if it proves a membership: without generation or member id the broker would not check it.
    ///
    /// # Safety
    /// `metadata` is null, or live and owned by nobody else.
    pub(super) unsafe fn checked(
        metadata: *mut rd::rd_kafka_consumer_group_metadata_t,
    ) -> Result<GroupMetadata, Fault> {
        let proof = NonNull::new(metadata).map(GroupMetadata);
        proof.filter(|m| m.generation() >= 0 && !m.member().is_empty()).ok_or_else(|| Fault {
            kind: Kind::Fenced,
            code: RDKafkaErrorCode::UnknownMemberId,
            message: "this worker is no member of its consumer group at the moment".to_owned(),
        })
    }

    pub(super) fn ptr(&self) -> *const rd::rd_kafka_consumer_group_metadata_t {
        self.0.as_ptr()
    }

    fn generation(&self) -> i32 {
        // SAFETY: live as long as `self`.
        unsafe { rd::rd_kafka_consumer_group_metadata_generation_id(self.ptr()) }
    }

    fn member(&self) -> String {
        // SAFETY: live as long as `self`; the id is a C string inside it, or null.
        unsafe {
            let id = rd::rd_kafka_consumer_group_metadata_member_id(self.ptr());
            if id.is_null() { String::new() } else { CStr::from_ptr(id).to_string_lossy().into_owned() }
        }
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, freed once.
        unsafe { rd::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) }
    }
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupMetadata(generation {}, member {})", self.generation(), self.member())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_without_a_membership_is_no_proof() {
        // SAFETY: a constructor from a C string; the object is handed over.
        let proof = unsafe { GroupMetadata::checked(rd::rd_kafka_consumer_group_metadata_new(c"g".as_ptr())) };
        assert_eq!(proof.unwrap_err().kind, Kind::Fenced);
        // SAFETY: as above.
        let proof = unsafe {
            GroupMetadata::checked(rd::rd_kafka_consumer_group_metadata_new_with_genid(
                c"g".as_ptr(),
                7,
                c"member".as_ptr(),
                std::ptr::null(),
            ))
        };
        assert_eq!(format!("{:?}", proof.unwrap()), "GroupMetadata(generation 7, member member)");
    }
}
