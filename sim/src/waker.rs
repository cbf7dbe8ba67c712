//! Wakers that are numbers: waking pushes a task's token on a list, without allocation, reference
//! counts or access to the world.
//!
//! A waker may be woken at any moment, also while the world is borrowed (a channel dropped by the
//! world wakes its other end), so it only appends to a thread-local list that the executor drains
//! before it picks the next task. This is the one module with `unsafe`: a `RawWaker`'s contract is
//! kept trivially, since cloning copies a number and dropping does nothing.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// A task's identity: its slot and the number that tells it from earlier tasks in that slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub slot: u32,
    pub number: u32,
}

thread_local! {
    static WOKEN: RefCell<Vec<Token>> = const { RefCell::new(Vec::new()) };
}

/// The tokens woken since the last call, in order.
#[inline]
pub(crate) fn drain_woken(mut each: impl FnMut(Token)) {
    WOKEN.with(|woken| {
        let mut woken = woken.borrow_mut();
        if !woken.is_empty() {
            woken.drain(..).for_each(&mut each);
        }
    });
}

/// A waker for one task of this thread's world.
#[inline]
pub(crate) fn waker(token: Token) -> Waker {
    // SAFETY: the table's functions treat the data as a number and never dereference it.
    unsafe { Waker::from_raw(raw(token)) }
}

/// The token inside a waker made by [`waker`], if it is one.
#[inline]
pub(crate) fn token_of(waker: &Waker) -> Option<Token> {
    std::ptr::eq(waker.vtable(), &VTABLE).then(|| unpack(waker.data()))
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_nothing);

fn raw(token: Token) -> RawWaker {
    let number = u64::from(token.number) << 32 | u64::from(token.slot);
    let data = std::ptr::without_provenance::<()>(number as usize);
    RawWaker::new(data, &VTABLE)
}

fn unpack(data: *const ()) -> Token {
    let number = data.addr() as u64;
    Token { slot: number as u32, number: (number >> 32) as u32 }
}

const _: () = assert!(size_of::<usize>() == 8, "tokens need 64-bit pointers");

fn clone(data: *const ()) -> RawWaker {
    RawWaker::new(data, &VTABLE)
}

fn wake(data: *const ()) {
    // The list is gone only while the thread itself is being torn down.
    let _ = WOKEN.try_with(|woken| woken.borrow_mut().push(unpack(data)));
}

fn drop_nothing(_: *const ()) {}
