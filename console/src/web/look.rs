//! Putting on record who looks at the trail, before anything is shown.

use super::App;
use crate::people::access::{self, Looked, Way};
use crate::store::StoreError;

/// Writes the entry and returns when it is on disk.
pub(super) async fn looked(
    app: &App,
    who: &str,
    way: Way,
    looked: Looked,
) -> Result<(), StoreError> {
    let (now, who) = (app.clock.now(), who.to_owned());
    app.store
        .write(move |c| access::record(c, now, &who, way, &looked))
        .await
}
