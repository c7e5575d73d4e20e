//! Says to systemd how we are; without systemd there is nobody to tell.

pub(crate) use sd_notify::NotifyState;

pub(crate) fn tell(state: NotifyState<'_>) {
    // A manager that does not listen is as good as none.
    let _ = sd_notify::notify(&[state]);
}
