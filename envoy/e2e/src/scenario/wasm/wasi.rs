//! The part of WASI preview 1 that the module uses: its environment, randomness, stderr, an exit.

use wasmi::{Caller, Error, Linker};

use super::State;
use super::guest::{Fault, Guest};

const MODULE: &str = "wasi_snapshot_preview1";
/// `errno` 28, `inval`.
const INVALID: i32 = 28;

fn done(answer: Result<(), Fault>) -> i32 {
    answer.map_or(INVALID, |()| 0)
}

/// Defines it.
///
/// # Errors
/// A name is defined already.
pub fn define(linker: &mut Linker<State>) -> Result<(), Error> {
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |mut c: Caller<'_, State>, count: u32, size: u32| {
            let mut answer = || {
                let mut guest = Guest::new(&mut c)?;
                let entries = guest.state().environment.clone();
                let bytes: usize = entries.iter().map(|e| e.len() + 1).sum();
                guest.put_u32(count, u32::try_from(entries.len()).map_err(|_| Fault)?)?;
                guest.put_u32(size, u32::try_from(bytes).map_err(|_| Fault)?)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |mut c: Caller<'_, State>, places: u32, at: u32| {
            let mut answer = || {
                let mut guest = Guest::new(&mut c)?;
                let (mut place, mut at) = (places, at);
                for entry in guest.state().environment.clone() {
                    guest.put_u32(place, at)?;
                    guest.put(at, entry.as_bytes())?;
                    let length = u32::try_from(entry.len()).map_err(|_| Fault)?;
                    guest.put(at + length, &[0])?;
                    at += length + 1;
                    place += 4;
                }
                Ok(())
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        MODULE,
        "random_get",
        |mut c: Caller<'_, State>, at: u32, length: u32| {
            let mut answer = || {
                let mut guest = Guest::new(&mut c)?;
                let bytes: Vec<u8> = (0..length).map(|_| guest.state().random()).collect();
                guest.put(at, &bytes)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_write",
        |mut c: Caller<'_, State>, _fd: u32, vectors: u32, count: u32, written: u32| {
            let mut answer = || {
                let mut guest = Guest::new(&mut c)?;
                let mut total = 0;
                for index in 0..count {
                    let vector = guest.bytes(vectors + index * 8, 8)?;
                    let word = |range: std::ops::Range<usize>| {
                        let bytes = vector.get(range).and_then(|b| b.try_into().ok());
                        bytes.map(u32::from_le_bytes).ok_or(Fault)
                    };
                    let text = guest.bytes(word(0..4)?, word(4..8)?)?;
                    total += u32::try_from(text.len()).map_err(|_| Fault)?;
                    let line = String::from_utf8_lossy(&text).into_owned();
                    guest.state().host.log.push(line);
                }
                guest.put_u32(written, total)
            };
            done(answer())
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |mut c: Caller<'_, State>, _id: u32, _precision: u64, at: u32| {
            let now = c.data().host.now.to_le_bytes();
            done(Guest::new(&mut c).and_then(|mut guest| guest.put(at, &now)))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "proc_exit",
        |_: Caller<'_, State>, code: i32| -> Result<(), Error> { Err(Error::i32_exit(code)) },
    )?;
    Ok(())
}
