//! Where in a JSON document the reader is.

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 64;

/// One level: the key of the present member, or the number of the present item.
enum Level {
    Member(Vec<u8>),
    Item(u32),
}

/// The way from the root to the present value. What is no JSON gives some way, and no fault.
#[derive(Default)]
pub(super) struct Path {
    levels: Vec<Level>,
    /// Levels below the deepest that is followed.
    beyond: usize,
}

impl Path {
    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.beyond = 0;
    }

    pub(super) fn open(&mut self, array: bool) {
        if self.levels.len() >= DEPTH_MAX {
            self.beyond = self.beyond.saturating_add(1);
            return;
        }
        self.levels.push(match array {
            true => Level::Item(0),
            false => Level::Member(Vec::new()),
        });
    }

    pub(super) fn close(&mut self) {
        if self.beyond > 0 {
            self.beyond -= 1;
        } else {
            self.levels.pop();
        }
    }

    pub(super) fn name(&mut self, key: &[u8]) {
        if let (0, Some(Level::Member(name))) = (self.beyond, self.levels.last_mut()) {
            name.clear();
            name.extend_from_slice(key);
        }
    }

    pub(super) fn next(&mut self) {
        if let (0, Some(Level::Item(number))) = (self.beyond, self.levels.last_mut()) {
            *number = number.saturating_add(1);
        }
    }

    /// As a JSON pointer (RFC 6901).
    pub(super) fn pointer(&self) -> String {
        let mut pointer = String::new();
        for level in &self.levels {
            pointer.push('/');
            match level {
                Level::Member(name) => {
                    let name = String::from_utf8_lossy(name);
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
                Level::Item(number) => pointer.push_str(&number.to_string()),
            }
        }
        pointer
    }
}
