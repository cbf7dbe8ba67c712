//! Panics inside simulated tasks are findings, not noise: they are caught with their place, and the
//! default hook prints nothing for them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook once per process; panics outside simulated tasks go to the former hook.
pub(crate) fn hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let former = take_hook();
        set_hook(Box::new(move |info| {
            if !INSIDE.try_with(Cell::get).unwrap_or(false) {
                former(info);
                return;
            }
            let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
            PLACE.with(|slot| *slot.borrow_mut() = place);
        }));
    });
}

/// Runs engine code; a panic becomes its message and place.
pub(crate) fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    INSIDE.set(outer);
    result.map_err(|payload| {
        let place = PLACE.with(|slot| slot.borrow_mut().take());
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        format!("{} at {place}", message(&*payload))
    })
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "(no message)".to_owned())
}
