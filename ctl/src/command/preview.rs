//! `--preview`: answers as pictures, as far as the terminal can draw them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scened_shared::client::{Client, ClientError};
use scened_shared::message::{Hit, SceneRow, ThumbnailRequest};
use scened_shared::method;

use crate::command::Context;
use crate::failure::Failure;
use crate::render::grid::{Grid, Tile};
use crate::render::picture::Picture;
use crate::render::screen::{Protocol, Screen};
use crate::render::{Out, text, time};

/// Fetches the picture of a scene; `None` if it no longer exists, which is no reason to fail.
///
/// **Errors**: the connection can no longer be used.
pub(super) fn thumbnail(client: &mut Client, scene: &str) -> Result<Option<Picture>, ClientError> {
    let request = ThumbnailRequest { scene: scene.to_owned() };
    match client.call::<method::Thumbnail>(&request) {
        Ok(answer) => Ok(STANDARD.decode(answer.jpeg).ok().and_then(Picture::decode)),
        Err(ClientError::Rpc(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns what the terminal can draw; `None` if output does not go to a terminal, or the terminal draws nothing.
pub(super) fn screen(out: &Out) -> Result<Option<Screen>, Failure> {
    if !out.is_terminal() {
        return Ok(None);
    }
    let screen = Screen::ask().map_err(Failure::new)?;
    Ok((screen.protocol != Protocol::None).then_some(screen))
}

pub(super) fn hits(context: &mut Context, client: &mut Client, screen: Screen, hits: &[Hit]) -> Result<(), Failure> {
    let titles = |out: &Out, i: usize, hit: &Hit| {
        let offline = if hit.offline { "  offline" } else { "" };
        let name = hit
            .file
            .to_path()
            .ok()
            .and_then(|path| Some(text::path(path.file_name()?.as_ref(), None)));
        (
            format!("{}  {}{offline}", i + 1, time::range(hit.start_ms, hit.end_ms)),
            name.unwrap_or_else(|| out.path(&hit.file)),
        )
    };
    tiles(context, client, screen, hits, |hit| &hit.scene, titles)
}

pub(super) fn scenes(context: &mut Context, client: &mut Client, screen: Screen, scenes: &[SceneRow]) -> Result<(), Failure> {
    let titles = |_: &Out, i: usize, scene: &SceneRow| {
        let range = format!("{} – {}", time::exact(scene.start_ms), time::exact(scene.end_ms));
        ((i + 1).to_string(), range)
    };
    tiles(context, client, screen, scenes, |scene| &scene.scene, titles)
}

/// Prints row by row, so that the first appears while the next is fetched.
fn tiles<T>(
    context: &mut Context,
    client: &mut Client,
    screen: Screen,
    rows: &[T],
    scene: impl Fn(&T) -> &str,
    titles: impl Fn(&Out, usize, &T) -> (String, String),
) -> Result<(), Failure> {
    let out = &mut context.out;
    let grid = Grid::new(out.width(), screen.cell_px);
    // Pictures of an earlier answer must not change: kitty keeps ids for as long as the window is open.
    let first_id = std::process::id() << 12;
    for (n_rows, row) in rows.chunks(grid.n_columns).enumerate() {
        let first = n_rows * grid.n_columns;
        let mut line = Vec::with_capacity(row.len());
        for (i, item) in row.iter().enumerate() {
            let (title, name) = titles(out, first + i, item);
            let picture = thumbnail(client, scene(item))?;
            line.push(Tile { picture, title, name });
        }
        if n_rows > 0 {
            out.line("")?;
        }
        grid.row(out, &line, screen, first_id.wrapping_add(first as u32))?;
        out.flush()?;
    }
    Ok(())
}
