//! A thread of the controller exits its process while the body runs: all ranks end.

use crate::runtime::ControllerEngine;
use crate::runtime::clock::now_ns;
use crate::runtime::driver::{Driver, Engine as _};
use crate::runtime::fault;
use std::thread;
use std::time::Instant;

/// Ends the other ranks, and leaves them in order if they follow in time: then the
/// launcher has nothing to say. The engine may be in use by a thread that never gives it
/// back, the one that exits included.
pub(super) fn exit_all(driver: &Driver<ControllerEngine>, code: i32) {
    let deadline = Instant::now() + fault::OTHERS_LIMIT;
    let mut told = false;
    loop {
        let mut closed = false;
        driver.try_with(|engine| {
            if !std::mem::replace(&mut told, true) {
                engine.exit();
            }
            engine.turn(now_ns());
            closed = engine.transport.close();
            if closed {
                engine.close();
            }
        });
        if closed {
            // What exit handlers of the program do afterwards is its own affair.
            return drop(fault::finalize(code));
        }
        if Instant::now() >= deadline {
            return fault::end_others(code);
        }
        thread::sleep(fault::LOOK);
    }
}
