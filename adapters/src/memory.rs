//! The process's own memory.

/// Gives back to the system what the allocator keeps free: after a start, or a rule file that was read, that is most
/// of what such a small process holds. Does nothing where the allocator has no such call.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        #[expect(unsafe_code, reason = "glibc's call has no safe wrapper")]
        // SAFETY: it takes no pointer, changes nothing but pages that hold no live allocation, and locks the arenas itself.
        let _ = unsafe { libc::malloc_trim(0) };
    }
}
