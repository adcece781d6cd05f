//! What was put down for readers: the newest view, and the last entries of the timeline with their receipts. All of it is bounded.

use crate::plan_view::{IncidentView, PlanView};
use crate::view::{LiquidationMap, View};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use tokio::sync::watch;
use utoipa::ToSchema;

/// The most entries of the timeline that are kept.
pub(crate) const ENTRIES_MAX: usize = 4_096;
/// The most receipts that are kept.
pub(crate) const RECEIPTS_MAX: usize = 4_096;
/// The most plans that are kept.
pub(crate) const PLANS_MAX: usize = 1_024;
/// The most incidents that are kept.
pub(crate) const INCIDENTS_MAX: usize = 1_024;
/// The most points of a market's history.
pub(crate) const POINTS_MAX: usize = 900;

/// One line of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Counted from one, without gaps.
    pub id: u64,
    /// When, as text.
    pub at: String,
    /// In which batch: its receipt has this height.
    pub height: u64,
    /// The market's name, or nothing.
    pub market: String,
    /// Of what kind.
    pub kind: &'static str,
    /// In words.
    pub text: String,
    /// How many like it in the same second.
    pub count: u64,
}

/// A line with its JSON, made once for all who read it.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) entry: Entry,
    pub(crate) text: String,
}

/// What was decided in a batch, as a leaf of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ReceiptView {
    /// Of the batch.
    pub height: u64,
    /// When, as text.
    pub at: String,
    /// The record's hash, in hexadecimal.
    pub record: String,
    /// Of the effects, likewise.
    pub effects_digest: String,
    /// Of the parameters in force, likewise.
    pub parameters: String,
    /// Of the rules, likewise.
    pub rules: String,
    /// Its hash in the log, likewise.
    pub leaf: String,
    /// How many inputs the batch has.
    pub inputs: usize,
    /// The effects, in words for whoever knows the code; at most twenty.
    pub effects: Vec<String>,
    /// How many there are.
    pub effects_count: usize,
}

/// A market's recent past.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct History {
    /// Microseconds since 1970.
    #[schema(value_type = Vec<i64>)]
    pub at: VecDeque<i64>,
    /// USD.
    #[schema(value_type = Vec<Option<String>>)]
    pub index: VecDeque<Option<String>>,
    /// USD.
    #[schema(value_type = Vec<Option<String>>)]
    pub mark: VecDeque<Option<String>>,
    /// By name.
    #[schema(value_type = Vec<String>)]
    pub mode: VecDeque<&'static str>,
}

/// A view, and its text once somebody asks for it: made once for all readers, and not by the loop.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) view: View,
    text: OnceLock<Arc<str>>,
}

impl Shown {
    fn new(view: View) -> Arc<Shown> {
        Arc::new(Shown { view, text: OnceLock::new() })
    }

    pub(crate) fn text(&self) -> Arc<str> {
        // Maps with names as keys and numbers as values: nothing in it can't be written.
        Arc::clone(self.text.get_or_init(|| serde_json::to_string(&self.view).unwrap_or_default().into()))
    }
}

/// Where the loop puts down and readers look.
#[derive(Debug)]
pub(crate) struct Board {
    view: RwLock<Arc<Shown>>,
    entries: Mutex<VecDeque<Arc<Told>>>,
    receipts: Mutex<BTreeMap<u64, ReceiptView>>,
    histories: Mutex<BTreeMap<String, History>>,
    maps: RwLock<Arc<Vec<LiquidationMap>>>,
    plans: Mutex<VecDeque<PlanView>>,
    incidents: Mutex<VecDeque<IncidentView>>,
    /// The newest entry's id, and how many views there were: whoever waits is woken.
    pub(crate) news: watch::Sender<(u64, u64)>,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is put down can be half done.
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    pub(crate) fn new(view: View) -> Board {
        Board {
            view: RwLock::new(Shown::new(view)),
            entries: Mutex::default(),
            receipts: Mutex::default(),
            histories: Mutex::default(),
            maps: RwLock::default(),
            plans: Mutex::default(),
            incidents: Mutex::default(),
            news: watch::Sender::new((0, 0)),
        }
    }

    pub(crate) fn view(&self) -> Arc<Shown> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn put_view(&self, view: View) {
        {
            let mut histories = held(&self.histories);
            for market in &view.markets {
                // Before the first batch there is no time.
                if view.height == 0 {
                    continue;
                }
                let history = histories.entry(market.name.clone()).or_default();
                if history.at.back() == Some(&view.at_micros) {
                    continue;
                }
                if history.at.len() == POINTS_MAX {
                    history.at.pop_front();
                    history.index.pop_front();
                    history.mark.pop_front();
                    history.mode.pop_front();
                }
                history.at.push_back(view.at_micros);
                history.index.push_back(market.index.clone());
                history.mark.push_back(market.mark.clone());
                history.mode.push_back(market.mode);
            }
        }
        self.follow(&view);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Shown::new(view);
        self.news.send_modify(|news| news.1 += 1);
    }

    /// Opens an incident for whatever is wrong since now, and closes those that are over.
    fn follow(&self, view: &View) {
        let wrong = view.wrong();
        let mut incidents = held(&self.incidents);
        for incident in incidents.iter_mut().filter(|incident| incident.over.is_none()) {
            match wrong.iter().find(|wrong| wrong.key == incident.key) {
                Some(wrong) => {
                    incident.summary.clone_from(&wrong.summary);
                    incident.remedy.clone_from(&wrong.remedy);
                }
                None => incident.over = Some(view.at.clone()),
            }
        }
        for wrong in wrong {
            if incidents.iter().any(|incident| incident.over.is_none() && incident.key == wrong.key) {
                continue;
            }
            let id = incidents.back().map_or(0, |last| last.id) + 1;
            if incidents.len() == INCIDENTS_MAX {
                // One that lasts is not forgotten for a new one.
                let Some(oldest) = incidents.iter().position(|incident| incident.over.is_some()) else { return };
                incidents.remove(oldest);
            }
            let severity = if wrong.is_critical { "critical" } else { "warning" };
            let (key, summary, remedy) = (wrong.key, wrong.summary, wrong.remedy);
            let (began, began_height) = (view.at.clone(), view.height);
            incidents.push_back(IncidentView { id, key, severity, summary, remedy, began, began_height, over: None });
        }
    }

    /// The last incidents before the one of id `before`, newest first.
    pub(crate) fn incidents_before(&self, before: u64, most: usize) -> Vec<IncidentView> {
        held(&self.incidents).iter().rev().filter(|incident| incident.id < before).take(most).cloned().collect()
    }

    pub(crate) fn put_plan(&self, plan: PlanView) {
        let mut plans = held(&self.plans);
        if plans.len() == PLANS_MAX {
            plans.pop_front();
        }
        plans.push_back(plan);
    }

    /// The last plans before height `before`, newest first; all those of the last height, so that a page never ends inside one.
    pub(crate) fn plans_before(&self, before: u64, most: usize) -> Vec<PlanView> {
        let plans = held(&self.plans);
        let earlier: Vec<&PlanView> = plans.iter().rev().filter(|plan| plan.height < before).collect();
        let last = earlier.get(most.saturating_sub(1)).map_or(0, |plan| plan.height);
        earlier.into_iter().take_while(|plan| last <= plan.height).cloned().collect()
    }

    /// The last receipts before height `before`, newest first.
    pub(crate) fn receipts_before(&self, before: u64, most: usize) -> Vec<ReceiptView> {
        held(&self.receipts).range(..before).rev().take(most).map(|(_, receipt)| receipt.clone()).collect()
    }

    pub(crate) fn put_maps(&self, maps: Vec<LiquidationMap>) {
        *self.maps.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(maps);
    }

    pub(crate) fn map(&self, market: &str) -> Option<LiquidationMap> {
        let maps = Arc::clone(&self.maps.read().unwrap_or_else(PoisonError::into_inner));
        maps.iter().find(|map| map.market == market).cloned()
    }

    pub(crate) fn history(&self, market: &str) -> Option<History> {
        held(&self.histories).get(market).cloned()
    }

    /// Numbers an entry and keeps it.
    pub(crate) fn put_entry(&self, mut entry: Entry) {
        let mut entries = held(&self.entries);
        let id = entries.back().map_or(0, |last| last.entry.id) + 1;
        entry.id = id;
        // Numbers and text: nothing in it can't be written.
        let text = serde_json::to_string(&entry).unwrap_or_default();
        if entries.len() == ENTRIES_MAX {
            entries.pop_front();
        }
        entries.push_back(Arc::new(Told { entry, text }));
        drop(entries);
        self.news.send_modify(|news| news.0 = id);
    }

    pub(crate) fn put_receipt(&self, receipt: ReceiptView) {
        let mut receipts = held(&self.receipts);
        if receipts.len() == RECEIPTS_MAX {
            receipts.pop_first();
        }
        receipts.insert(receipt.height, receipt);
    }

    pub(crate) fn receipt(&self, height: u64) -> Option<ReceiptView> {
        held(&self.receipts).get(&height).cloned()
    }

    /// Entries behind `after`, at most `most`; `None` where some of them are not kept any more.
    pub(crate) fn entries_after(&self, after: u64, most: usize) -> Option<Vec<Arc<Told>>> {
        let entries = held(&self.entries);
        let oldest = entries.front().map_or(1, |first| first.entry.id);
        let newest = entries.back().map_or(0, |last| last.entry.id);
        (oldest <= after + 1 && after <= newest)
            .then(|| entries.iter().skip((after + 1 - oldest) as usize).take(most).cloned().collect())
    }

    /// The last entries before `before`, newest first.
    pub(crate) fn entries_before(&self, before: u64, most: usize) -> Vec<Entry> {
        let entries = held(&self.entries);
        let earlier = entries.iter().rev().filter(|told| told.entry.id < before);
        earlier.take(most).map(|told| told.entry.clone()).collect()
    }
}
