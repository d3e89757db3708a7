//! Placeholder entry point, replaced in the commits that follow.
fn main() {}
