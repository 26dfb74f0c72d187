//! CPU, wall and peak memory of a whole process.
#![allow(unsafe_code)] // wait4, which the standard library does not wrap

use std::{
    mem::MaybeUninit,
    process::Child,
    time::{Duration, Instant},
};

/// What a process cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User and system.
    pub cpu: Duration,
    pub wall: Duration,
    /// Resident bytes at their highest.
    pub peak: u64,
}

impl Cost {
    /// Waits for a process that was started at `began`, and that must end well.
    pub fn of(child: &mut Child, began: Instant) -> Cost {
        let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
        // SAFETY: both pointers are to live places of the right types; the child has not been waited for.
        let usage = unsafe {
            let id = child.id() as libc::pid_t;
            assert_eq!(libc::wait4(id, &mut status, 0, usage.as_mut_ptr()), id);
            usage.assume_init()
        };
        assert_eq!(status, 0, "the process ended with wait status {status}");
        let time = |t: libc::timeval| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000);
        Cost {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            wall: began.elapsed(),
            peak: usage.ru_maxrss as u64 * 1024,
        }
    }
}

/// The middle of several costs, each figure for itself.
pub fn median(costs: &[Cost]) -> Cost {
    fn middle<T: Ord + Copy>(mut all: Vec<T>) -> T {
        all.sort();
        all[all.len() / 2]
    }
    Cost {
        cpu: middle(costs.iter().map(|c| c.cpu).collect()),
        wall: middle(costs.iter().map(|c| c.wall).collect()),
        peak: middle(costs.iter().map(|c| c.peak).collect()),
    }
}
