//! Symbolic links: whether what one leads to counts.

use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::super::whereabouts::stat;
use super::Core;
use crate::machine::with_timeout;

impl Core {
    /// A stat that goes through a link where links count; `None` = a link that does not.
    pub(super) fn check_link(&self, path: &Path) -> io::Result<Option<Metadata>> {
        let metadata = stat(path, false)?;
        Ok(if metadata.is_symlink() {
            self.follow_link(path)
        } else {
            Some(metadata)
        })
    }

    /// What a link leads to, if links count and it leads out of all roots (what is inside is found there), and not back to itself.
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
        // The mount that may hang is the one it leads to.
        let towards = without_dots(&link.parent()?.join(towards));
        let at = link.to_owned();
        let target = with_timeout::run(&towards, move |_| std::fs::canonicalize(at)).ok()?;
        let is_inside = self.roots.iter().any(|root| target.starts_with(root.real()));
        let is_loop = folders.iter().any(|folder| folder.starts_with(&target));
        if is_inside || is_loop { None } else { stat(&target, true).ok() }
    }
}

/// `path` with `.` and `..` taken out as if nothing in it were a link.
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
