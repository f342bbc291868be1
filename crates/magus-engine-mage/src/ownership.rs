//! The mark as a whole: its second copy in Kubernetes, and how it is taken off a workspace.

use magus_engine::PerformError;
use magus_model::name::WorkspaceName;

use crate::{
    Mage,
    api::request,
    container::{self, Content},
    mark::{self, Stored},
    perform::Found,
};

impl Mage {
    /// Looks whether Mage has stored what was sent, and lets the second copy of the mark say the same.
    pub(crate) fn left(
        &self,
        name: &WorkspaceName,
        text: &str,
        stored: Option<&Stored>,
    ) -> Result<(), PerformError> {
        let found = self.read_back(name, text)?;
        self.remember(name, &found);
        self.keep_copy(&found, stored);
        Ok(())
    }

    /// Writes the second copy of the mark, or removes it, if Kubernetes may be asked. The mark itself is what counts: a copy that
    /// could not be written keeps no step from being done.
    pub(crate) fn keep_copy(&self, found: &Found, stored: Option<&Stored>) {
        let (Some(cluster), Some(seen)) = (&self.kubernetes, &found.known.seen) else { return };
        let name = &found.known.workspace.name;
        let line = stored.and_then(|stored| mark::write(name, stored).ok());
        if let Err(error) = cluster.kubernetes().annotate_mark(&seen.key, &seen.uid, line.as_deref()) {
            tracing::debug!(workspace = %name, %error, "the copy of the mark was not written");
        }
    }

    /// Takes the mark off, and changes nothing else: the text without a comment means the same, so that nothing restarts
    /// (MAGE.md 4.18).
    pub(crate) fn forget(&self, found: &Found) -> Result<(), PerformError> {
        let name = &found.known.workspace.name;
        let text = if found.known.is_outdated {
            // The text that is there would be applied again, and take back what runs.
            let content = Content { leaves: found.known.leaves.clone(), ..Content::default() };
            container::write(None, &content, self.form()?).map_err(PerformError::Failed)?
        } else {
            mark::remove(&found.item.text().map_err(PerformError::Failed)?)
        };
        // The copy goes first: the other way round it would bring the mark back.
        let mut removed = None;
        if let (Some(cluster), Some(seen)) = (&self.kubernetes, &found.known.seen) {
            cluster.kubernetes().annotate_mark(&seen.key, &seen.uid, None)?;
            removed = Some("the second copy of its mark was removed");
        }
        self.send_write(&request::patch_workspace(name.as_str(), &text, None))
            .map_err(|error| removed.map_or(error.clone(), |done| error.after(done)))?;
        let found = self.read_back(name, &text)?;
        self.remember(name, &found);
        Ok(())
    }
}
