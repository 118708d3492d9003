//! Scores scene detectors against videos whose edits are known, by the rule of TRECVID's shot boundary task.
//!
//! Owns the truth ([`manifest`]), the detectors' reports ([`detections`]), their pairing ([`matching`]), the counts ([`score`]) and their
//! tables ([`table`]). It deliberately knows nothing of video: the Python programs beside it render videos, run detectors, and leave JSON
//! here. Single-threaded; writes nothing itself.
//!
//! **Source** of the rule: Smeaton, Over and Doherty, "Video shot boundary detection: Seven years of TRECVid activity", CVIU 114 (2010).
//! Pairing is one-to-one, a second report of one transition is a false alarm, and graduals pair by overlap.

pub mod detections;
pub mod manifest;
pub mod matching;
pub mod score;
pub mod table;
