//! `org.gnome.Shell.SearchProvider2`: the search in GNOME's overview.
//!
//! The shell sends a question with every key press, cannot withdraw one, and waits for all providers together. So an answer has
//! [`TIMEOUT`]; later results are ready for the next key press.
//!
//! Source: <https://developer.gnome.org/documentation/tutorials/search-provider.html>.

use std::sync::Arc;
use std::time::Duration;

use zbus::{Connection, Variant, fdo, interface};

use crate::finder::Found;
use crate::moment::Moment;
use crate::search::{CHOSEN_TIMEOUT, ICON, Properties, Search};

pub(crate) const PATH: &str = "/org/scened/Desktop/SearchProvider";

/// Timeout of one answer; a longer wait would be visible.
const TIMEOUT: Duration = Duration::from_millis(45);
/// The most results described in one call; the shell shows five.
const MAX_DESCRIBED: usize = 32;

pub(crate) struct SearchProvider {
    search: Arc<Search>,
}

impl SearchProvider {
    pub(crate) fn new(search: Arc<Search>) -> Self {
        Self { search }
    }
}

#[interface(name = "org.gnome.Shell.SearchProvider2")]
impl SearchProvider {
    #[zbus(out_args("results"))]
    async fn get_initial_result_set(&self, terms: Vec<String>) -> Vec<String> {
        ids(&self.search.find(&terms.join(" "), TIMEOUT).await)
    }

    /// Scenes that match more words are not a subset of those that match fewer, so `previous_results` does not help.
    #[zbus(out_args("results"))]
    async fn get_subsearch_result_set(&self, previous_results: Vec<String>, terms: Vec<String>) -> Vec<String> {
        drop(previous_results);
        ids(&self.search.find(&terms.join(" "), TIMEOUT).await)
    }

    #[zbus(out_args("metas"))]
    async fn get_result_metas(&self, identifiers: Vec<String>) -> Vec<Properties> {
        let mut moments = Vec::new();
        for id in identifiers.iter().take(MAX_DESCRIBED) {
            moments.extend(self.search.recall(id, TIMEOUT).await);
        }
        let pictures = self.search.pictures(&moments).await;
        let described = moments.iter().zip(pictures).map(|(moment, picture)| {
            let mut meta = self.describe(moment);
            match picture {
                Some(picture) => meta.insert("icon-data", picture.to_variant()),
                None => meta.insert("gicon", Variant::new(ICON)),
            };
            meta
        });
        described.collect()
    }

    async fn activate_result(
        &self,
        identifier: String,
        terms: Vec<String>,
        timestamp: u32,
        #[zbus(connection)] connection: &Connection,
    ) -> fdo::Result<()> {
        drop(terms);
        let moment = self.search.recall(&identifier, CHOSEN_TIMEOUT).await;
        let moment = moment.ok_or_else(|| fdo::Error::InvalidArgs("there is no such result".to_owned()))?;
        self.search.open(connection, moment, startup_id(timestamp)).await
    }

    async fn launch_search(&self, terms: Vec<String>, timestamp: u32, #[zbus(connection)] connection: &Connection) -> fdo::Result<()> {
        self.search.show_all(connection, &terms.join(" "), startup_id(timestamp)).await
    }
}

impl SearchProvider {
    fn describe(&self, moment: &Moment) -> Properties {
        Properties::from([
            ("id", Variant::new(moment.id.clone())),
            ("name", Variant::new(moment.title())),
            ("description", Variant::new(moment.details(self.search.home.as_deref()))),
        ])
    }
}

fn ids(found: &Found) -> Vec<String> {
    found.iter().map(|moment| moment.id.clone()).collect()
}

/// Formats the id as GTK and Qt read it: the number after `_TIME` is the time of the click.
fn startup_id(timestamp: u32) -> Option<String> {
    (timestamp != 0).then(|| format!("scened-desktop-{}_TIME{timestamp}", std::process::id()))
}
