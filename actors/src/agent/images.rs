//! When images are removed that no container uses: when an operator says so, and by itself when the
//! disk is too full. Removes none itself; the containerizers do.

use std::sync::Arc;

use tepui_protocol::v1;

use super::containerizer::Containerizers;
use super::containerizer::config::ImageGc;

/// Removes images, but for those excluded by the call or by `--image_gc_config`. Blocks.
///
/// # Errors
/// Why they stay.
pub(super) fn prune(
    containerizer: &Containerizers,
    gc: Option<&ImageGc>,
    mut excluded: Vec<v1::Image>,
) -> Result<(), String> {
    excluded.extend(gc.into_iter().flat_map(|gc| gc.excluded.clone()));
    containerizer.prune_images(&excluded)
}

/// Looks at the disk time and again, and has images removed when it is too full. Does not end.
pub(super) async fn watch(gc: ImageGc, containerizer: Arc<Containerizers>) {
    loop {
        tokio::time::sleep(gc.interval).await;
        let (its, containerizer) = (gc.clone(), containerizer.clone());
        let work = move || match containerizer.wants_prune() {
            true => prune(&containerizer, Some(&its), Vec::new()),
            false => Ok(()),
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(why) = done {
            tracing::warn!(why, "images that nobody uses are not removed");
        }
    }
}
