//! Scores scene detectors against videos whose edits are known, by the rule of TRECVID's shot boundary task.
//!
//! Owns the truth ([`manifest`]), what detectors said ([`detections`]), the pairing of the two ([`matching`]), the counts
//! ([`score`]) and their tables ([`table`]). It deliberately knows nothing of video: videos are rendered and detectors run
//! by the Python programs beside it, which leave JSON here. Single-threaded; nothing is written but what the caller writes.
//!
//! **Source** of the rule: Smeaton, Over and Doherty, "Video shot boundary detection: Seven years of TRECVid activity",
//! CVIU 114 (2010): one-to-one pairing, a second report of one transition is a false alarm, graduals pair by overlap.

pub mod detections;
pub mod manifest;
pub mod matching;
pub mod score;
pub mod table;
