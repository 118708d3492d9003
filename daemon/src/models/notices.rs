//! The notices about the model in answers and in `status`.

use std::sync::Arc;

use super::Models;

impl Models {
    /// Returns the sentences about the model that every answer includes.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        let current = self.serving.current();
        if current.as_ref().is_ok_and(|slot| slot.info.is_starter) {
            notices.push(
                "the starter model is in use; it knows drawn things, not real footage: install another one with `scenectl model install NAME` (`scenectl model list --available` lists them), then `scenectl model use NAME`"
                    .to_owned(),
            );
        }
        if let Ok(current) = &current
            && self
                .followers()
                .iter()
                .any(|follower| Arc::ptr_eq(follower.slot(), current) && follower.is_rebuilding())
        {
            notices.push("the index is being rebuilt from the store: answers may lack scenes for a moment".to_owned());
        }
        if let Ok(current) = &current {
            let followers = self.followers();
            let mut of_current = followers.iter().filter(|follower| Arc::ptr_eq(follower.slot(), current));
            notices.extend(of_current.find_map(|follower| follower.lack()));
        }
        if let (Ok(current), Some(next)) = (current, self.serving.next()) {
            let changed = if next.info.name == current.info.name {
                format!("changing to another crop for model {}; the old vectors answer", next.info.name)
            } else {
                format!("changing to model {}; {} answers", next.info.name, current.info.name)
            };
            notices.push(format!("{changed} until every video has vectors of it"));
        }
        notices
    }

    pub fn name_in_use(&self) -> String {
        self.serving
            .current()
            .map_or_else(|_| self.name_wanted(), |slot| slot.info.name.clone())
    }

    /// Returns the execution provider in use, or `none` before the model was first needed.
    pub fn provider(&self) -> String {
        let report = self.serving.current().ok().and_then(|slot| slot.embedder.provider());
        report.map_or_else(|| "none".to_owned(), |report| report.active)
    }

    /// Returns the warnings of the models in use.
    pub fn model_warnings(&self) -> Vec<String> {
        let slots = [self.serving.current().ok(), self.serving.next()];
        slots.into_iter().flatten().filter_map(|slot| slot.embedder.warning()).collect()
    }

    pub fn provider_warnings(&self) -> Vec<String> {
        let report = self.serving.target().and_then(|slot| slot.embedder.provider()).unwrap_or_default();
        report
            .failed
            .iter()
            .map(|(name, reason)| format!("execution provider {name} cannot be used: {reason}"))
            .collect()
    }

    /// Returns the sandbox that keeps the answering model from the network and the user's files, or the reason why there is none. Returns
    /// `None` before the model was first used.
    pub fn sandbox(&self) -> Option<Result<String, String>> {
        let report = self.serving.current().ok().and_then(|slot| slot.embedder.provider())?;
        Some(if report.is_sandboxed {
            Ok(report.sandbox)
        } else {
            Err(report.sandbox)
        })
    }

    /// Returns the warning for `status` if there is no sandbox.
    pub fn sandbox_warning(&self) -> Option<String> {
        let why = self.sandbox()?.err()?;
        Some(format!("the model runs without a sandbox: {why}"))
    }
}
