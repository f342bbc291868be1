//! The mark as a whole: how it is put on a workspace and taken off, and its second copy in Kubernetes.

use magus_engine::PerformError;
use magus_model::{name::WorkspaceName, value::Value};

use crate::{
    Mage,
    api::request,
    container::{self, Content, Form},
    mark::{self, Stored},
    perform::{Found, moved},
};

impl Mage {
    /// Puts the mark into the text that is there, and changes nothing else: a comment restarts nothing (MAGE.md 4.18).
    pub(crate) fn put_mark(&self, found: &Found, stored: Stored) -> Result<(), PerformError> {
        let name = found.name();
        if self.form()? == Form::Docker {
            // Whether a comment restarts the workspace there was not tested: the mark goes along with a change that does.
            return Ok(());
        }
        if matches!(found.item.container_config, Some(Value::Map(_))) {
            // MAGE.md 4.3: sent as a text, it would be applied for the first time.
            return Err(PerformError::Failed(
                "its container_config was stored as an object, which mage never applied; declare what it should be, \
                 or save it in mage's own page"
                    .to_owned(),
            ));
        }
        let text = if found.known.is_outdated {
            // The text that is there would be applied again, and take back what runs.
            self.text(name, &stored, &Content { leaves: found.known.leaves.clone(), ..Content::default() })?
        } else {
            let line = mark::write(name, &stored).map_err(PerformError::Failed)?;
            mark::replace(&found.item.text().map_err(PerformError::Failed)?, &line)
        };
        self.send_write(&request::patch_workspace(name.as_str(), &text, None))?;
        self.left(name, &text, Some(&stored))
    }

    /// Puts the mark into a text that was read a while ago. What a person wrote into it since then is not overwritten: the
    /// next plan compares it.
    pub(crate) fn put_mark_later(&self, found: &Found, stored: Stored) -> Result<(), PerformError> {
        let name = found.name();
        let now = self.look(name)?.ok_or_else(|| moved(name))?;
        let line = mark::write(name, &stored).map_err(PerformError::Failed)?;
        // The mark alone may differ: a step writes more than one.
        let is_same = match (now.item.text(), found.item.text()) {
            (Ok(now), Ok(found)) => mark::replace(&now, &line) == mark::replace(&found, &line),
            (now, found) => now == found,
        };
        if !is_same || now.item.project_uuid != found.item.project_uuid {
            return Err(PerformError::Moved(format!("`{name}` was changed outside Magus; plan again")));
        }
        self.put_mark(&now, stored)
    }

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
