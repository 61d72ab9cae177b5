//! Asking the scheduler for short turns, for threads that mostly wait for a disk.

/// Nanoseconds of a turn; the least that Linux takes is 100,000.
#[cfg(target_os = "linux")]
const TURN_NS: u64 = 100_000;

/// Asks for this thread to be run soon after it wakes, at the price of shorter turns; its share of the processor stays
/// the same. True where the system agreed.
///
/// A thread that waits for a sync wakes into a queue when all processors are busy, and then Linux lets the running
/// thread finish its turn first: measured 4 ms per append instead of 0.09 ms on two saturated cores. Linux 6.12 and later
/// heed this without any privilege, earlier ones and other systems ignore it. `sched(7)`, `sched_setattr(2)`.
pub fn prefer_short_turns() -> bool {
    #[cfg(target_os = "linux")]
    return linux::set_turn(TURN_NS);
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(target_os = "linux")]
mod linux {
    /// `struct sched_attr`, first version (48 bytes), of `linux/sched/types.h`.
    #[repr(C)]
    #[derive(Default)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    const THIS_THREAD: libc::pid_t = 0;
    const NO_FLAGS: libc::c_uint = 0;
    const SIZE: u32 = size_of::<SchedAttr>() as u32;

    pub fn set_turn(nanoseconds: u64) -> bool {
        let mut attributes = SchedAttr::default();
        // SAFETY: the kernel writes at most SIZE bytes to a struct of that size and layout, which lives through the call.
        #[allow(unsafe_code, reason = "no safe wrapper offers this call")]
        let read = unsafe {
            libc::syscall(libc::SYS_sched_getattr, THIS_THREAD, &raw mut attributes, SIZE, NO_FLAGS)
        };
        if read != 0 || attributes.policy != libc::SCHED_OTHER as u32 {
            return false;
        }
        attributes.runtime = nanoseconds;
        // SAFETY: the kernel reads the struct, whose first field is its size, and keeps no reference to it.
        #[allow(unsafe_code, reason = "no safe wrapper offers this call")]
        let set =
            unsafe { libc::syscall(libc::SYS_sched_setattr, THIS_THREAD, &raw const attributes, NO_FLAGS) };
        set == 0
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn asking_for_short_turns_does_no_harm() {
            // Old kernels and sandboxes may refuse; the thread goes on either way.
            let _ = crate::prefer_short_turns();
        }
    }
}
