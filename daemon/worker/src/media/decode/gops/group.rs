//! Divides the packets of a video into GOPs that can be decoded independently.

use std::sync::Arc;

use ffmpeg_next::Packet;

use super::skip::judge::Size;
use super::survey::Kind;
use crate::media::decode::clock::Clock;
use crate::media::decode::video::OpenVideo;

/// A keyframe and the packets up to the next one.
pub(crate) struct Gop {
    /// In decoding order. In an open GOP, pictures that are shown before the next keyframe follow it. The next keyframe and those pictures
    /// then stand at the end.
    pub(crate) packets: Vec<Arc<Packet>>,
    /// Number of its own packets. After them come the next keyframe and the pictures shown before it.
    pub(crate) n_own: usize,
    /// Time stamp of its keyframe, and of the next one.
    pub(crate) start: i64,
    pub(crate) end: Option<i64>,
    pub(crate) n_bytes: usize,
}

impl Gop {
    fn begin(key: Packet) -> Self {
        Self {
            n_own: 1,
            start: stamp(&key),
            end: None,
            n_bytes: key.size(),
            packets: vec![Arc::new(key)],
        }
    }

    fn push(&mut self, packet: Packet) {
        self.n_own += 1;
        self.n_bytes += packet.size();
        self.packets.push(Arc::new(packet));
    }

    /// Returns the packets needed to decode all that is shown up to `after_us` after the keyframe, and the time stamp after these.
    pub(crate) fn beginning(&self, after_us: i64, clock: Clock) -> (Vec<Arc<Packet>>, i64) {
        let start_us = clock.time_us(self.start);
        let is_wanted = |packet: &Arc<Packet>| clock.time_us(stamp(packet)) - start_us <= after_us;
        let n = self.packets[..self.n_own].iter().rposition(is_wanted).map_or(1, |last| last + 1);
        let packets = self.packets[..n].to_vec();
        let until = packets.iter().filter(|packet| is_wanted(packet)).map(|packet| stamp(packet)).max();
        (packets, until.unwrap_or(self.start) + 1)
    }

    /// Returns how many packets are shown from its keyframe to the next one.
    pub(crate) fn n_shown(&self) -> usize {
        // The next keyframe is stored before the pictures that are shown before it.
        self.packets.len() - usize::from(self.packets.len() > self.n_own)
    }

    pub(crate) fn key(&self) -> Arc<Packet> {
        Arc::clone(&self.packets[0])
    }
}

/// Returns the time stamp of a packet. The survey ensured that every packet has a time, but a damaged file may read differently the second
/// time.
fn stamp(packet: &Packet) -> i64 {
    packet.pts().or(packet.dts()).unwrap_or(i64::MIN)
}

/// Reads GOPs in order.
pub(crate) struct Gops {
    kind: Kind,
    current: Option<Gop>,
    /// The GOP after `current`, while packets shown before it may still belong to `current`.
    next: Option<Gop>,
    n_leading: usize,
    /// Latest time stamp read, and how long that picture is shown.
    pub(crate) last: Option<(i64, i64)>,
}

impl Gops {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            current: None,
            next: None,
            n_leading: 0,
            last: None,
        }
    }

    /// Returns the next GOP, or `None` at the end of the video.
    pub(crate) fn read(&mut self, video: &mut OpenVideo) -> Option<Gop> {
        while let Some(packet) = video.next_packet() {
            let shown = stamp(&packet);
            if self.last.is_none_or(|(last, _)| shown >= last) {
                self.last = Some((shown, packet.duration()));
            }
            if let Some(complete) = self.take(packet) {
                return Some(complete);
            }
        }
        let last = self.current.take()?;
        self.current = self.next.take();
        Some(self.complete(last))
    }

    fn take(&mut self, packet: Packet) -> Option<Gop> {
        let begins = packet.is_key()
            && match self.kind {
                Kind::Intra { stride } => {
                    let newest = self.next.as_ref().or(self.current.as_ref());
                    newest.is_none_or(|gop| gop.n_own >= stride as usize)
                }
                Kind::Scenecut { .. } | Kind::Clock { .. } => true,
            };
        if begins {
            let begun = Gop::begin(packet);
            if self.current.is_none() {
                self.current = Some(begun);
                return None;
            }
            let next = self.next.replace(begun)?;
            return self.current.replace(next).map(|gop| self.complete(gop));
        }
        match (&mut self.current, self.next.take()) {
            (Some(current), Some(next)) => {
                if stamp(&packet) < next.start {
                    if self.n_leading == 0 {
                        current.packets.push(next.key());
                    }
                    self.n_leading += 1;
                    current.n_bytes += packet.size();
                    current.packets.push(Arc::new(packet));
                    self.next = Some(next);
                    return None;
                }
                let complete = std::mem::replace(current, next);
                current.push(packet);
                Some(self.complete(complete))
            }
            (Some(current), None) => {
                current.push(packet);
                None
            }
            // Packets before the first keyframe cannot be decoded.
            (None, _) => None,
        }
    }

    /// Completes a GOP. It ends where the next one begins, which is `current` by now.
    fn complete(&mut self, mut gop: Gop) -> Gop {
        gop.end = self.current.as_ref().map(|next| next.start);
        self.n_leading = 0;
        gop
    }
}

/// Returns the packets of a GOP in display order, without its keyframe.
pub(crate) fn sizes_of(packets: &[Arc<Packet>], clock: Clock) -> Vec<Size> {
    let Some(start) = packets.first().and_then(|key| key.pts()) else {
        return Vec::new();
    };
    let mut latest = start;
    let mut sizes: Vec<Size> = packets[1..]
        .iter()
        .filter_map(|packet| {
            let stamp = packet.pts()?;
            let is_anchor = stamp > latest;
            latest = latest.max(stamp);
            Some(Size {
                bytes: packet.size(),
                after_us: clock.time_us(stamp) - clock.time_us(start),
                is_anchor,
            })
        })
        .collect();
    sizes.sort_by_key(|size| size.after_us);
    sizes
}
