//! `org.kde.krunner1`: KRunner, and the search in Plasma's menus.
//!
//! KRunner does not wait for slow runners: it shows a late answer when it arrives, and discards an answer to an old query.
//!
//! Source: `org.kde.krunner1.xml` of KDE's krunner, and how `dbusrunner.cpp` there reads the answers.

use std::sync::Arc;
use std::time::Duration;

use zbus::{Connection, Variant, fdo, interface};

use crate::launch;
use crate::moment::Moment;
use crate::search::{CHOSEN_TIMEOUT, ICON, Properties, Search};

pub(crate) const PATH: &str = "/org/scened/Desktop/KRunner";

/// A model wakes in about a second.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The action besides opening.
const SHOW_FOLDER: &str = "folder";
/// A match with at least this confidence is listed with the likely ones.
const LIKELY: f32 = 0.8;
/// Categories of matches: KRunner 5 calls them `PossibleMatch` and `HelperMatch`, KRunner 6 "low" and "high".
const POSSIBLE: i32 = 30;
const HELPER: i32 = 70;

/// Id, text, icon, category, relevance, properties.
type Match = (String, String, &'static str, i32, f64, Properties);

pub(crate) struct Runner {
    search: Arc<Search>,
}

impl Runner {
    pub(crate) fn new(search: Arc<Search>) -> Self {
        Self { search }
    }
}

#[expect(clippy::unused_self, reason = "the macro wants methods of an object")]
#[interface(name = "org.kde.krunner1")]
impl Runner {
    /// KRunner calls this if the desktop file says `X-Plasma-API=DBus2`; ours says the same in its own key.
    #[zbus(out_args("config"))]
    fn config(&self) -> Properties {
        Properties::from([("MinLetterCount", Variant::new(3_i32))])
    }

    #[zbus(out_args("matches"))]
    fn actions(&self) -> Vec<(&str, &str, &str)> {
        vec![(SHOW_FOLDER, "Show in the file manager", "document-open-folder")]
    }

    #[zbus(name = "Match", out_args("matches"))]
    async fn search_scenes(&self, query: String) -> Vec<Match> {
        let found = self.search.find(&query, TIMEOUT).await;
        let pictures = self.search.pictures(&found).await;
        let matches = found.iter().zip(pictures).enumerate().map(|(rank, (moment, picture))| {
            let mut properties = Properties::from([
                ("subtext", Variant::new(moment.details(self.search.home.as_deref()))),
                ("category", Variant::new("Video scenes")),
                ("urls", Variant::new(vec![launch::uri(&moment.path)])),
                ("actions", Variant::new(vec![SHOW_FOLDER])),
            ]);
            // KRunner shows no picture if an icon has a name.
            let icon = match &picture {
                Some(picture) => {
                    properties.insert("icon-data", picture.to_variant());
                    ""
                }
                None => ICON,
            };
            let (category, relevance) = standing(moment, rank);
            (moment.id.clone(), moment.title(), icon, category, relevance, properties)
        });
        matches.collect()
    }

    #[zbus(name = "Run")]
    async fn choose(&self, match_id: String, action_id: String, #[zbus(connection)] connection: &Connection) -> fdo::Result<()> {
        if !["", SHOW_FOLDER].contains(&action_id.as_str()) {
            return Err(fdo::Error::InvalidArgs("there is no such action".to_owned()));
        }
        let moment = self.search.recall(&match_id, CHOSEN_TIMEOUT).await;
        let moment = moment.ok_or_else(|| fdo::Error::InvalidArgs("there is no such match".to_owned()))?;
        if action_id.is_empty() {
            self.search.open(connection, moment, None).await
        } else {
            self.search.show_folder(connection, &moment).await
        }
    }

    /// Ends a search. The results are small, and are kept in case the user chooses late.
    fn teardown(&self) {}
}

/// Returns category and relevance: from the confidence, if the model reports one; ranks keep their order.
fn standing(moment: &Moment, rank: usize) -> (i32, f64) {
    let certainty = moment.confidence.unwrap_or(0.3);
    let category = if certainty >= LIKELY { HELPER } else { POSSIBLE };
    let relevance = f64::from(certainty) - 0.01 * rank as f64;
    (category, relevance.clamp(0.0, 1.0))
}
