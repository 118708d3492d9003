//! Symbolic links: whether the target of a link counts.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::super::whereabouts::stat;
use super::Core;
use crate::machine::with_timeout;

impl Core {
    /// Reads the metadata at a path, and follows a link if links count. `None` = a link that does not count.
    pub(super) fn check_link(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let metadata = stat(path, false)?;
        Ok(if metadata.is_symlink() {
            self.follow_link(path)
        } else {
            Some(metadata)
        })
    }

    /// Returns the metadata of a link's target. `None` if links do not count, or the target is inside a root (where it is found anyway), or
    /// the link leads back to itself.
    pub(super) fn follow_link(&self, link: &Path) -> Option<Metadata> {
        if !self.filter.follows_links() {
            return None;
        }
        let at = link.to_owned();
        let (towards, folders) = with_timeout::run(link, move |_| {
            let folders: Vec<PathBuf> = at.ancestors().skip(1).flat_map(std::fs::canonicalize).collect();
            Ok((std::fs::read_link(&at)?, folders))
        })
        .ok()?;
        // The mount that may hang is the target's.
        let towards = without_dots(&link.parent()?.join(towards));
        let at = link.to_owned();
        let target = with_timeout::run(&towards, move |_| std::fs::canonicalize(at)).ok()?;
        let is_inside = self.roots.iter().any(|root| target.starts_with(root.real()));
        let is_loop = folders.iter().any(|folder| folder.starts_with(&target));
        if is_inside || is_loop { None } else { stat(&target, true).ok() }
    }
}

/// Removes `.` and `..` from `path` as if it contained no links.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            _ => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out_as_if_nothing_were_a_link() {
        for (path, plain) in [("/v/a", "/v/a"), ("/v/./a/../b", "/v/b"), ("/v/../../a", "/a"), ("a/..", "")] {
            assert_eq!(without_dots(Path::new(path)), Path::new(plain), "{path}");
        }
    }
}
