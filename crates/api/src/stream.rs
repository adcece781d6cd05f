//! Events as they come, to readers of whom none is waited for.

use crate::board::Told;
use crate::problem::Problem;
use crate::publisher::Window;
use crate::server::{Refused, Shared};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// The most readers of the event stream.
pub(crate) const STREAMS_MAX: usize = 1_024;
/// Events that may wait for a reader before it is cut.
const EVENTS_MAX: usize = 256;
/// What comes within so long is told together: readers are woken ten times a second, not with every line.
const TOGETHER: Duration = Duration::from_millis(100);
/// Where there are more readers than this, each is woken less often, and sees a new view once a second.
const CROWD: usize = 100;
const CROWD_TOGETHER: Duration = Duration::from_millis(500);
const CROWD_VIEW_EVERY: Duration = Duration::from_secs(1);
/// A stream says so often that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Events as they come: `entry` with its number, `view` whenever there is a new one, `reset` where entries were missed.
#[utoipa::path(get, path = "/api/v1/stream", tag = "read",
    params(("last-event-id" = Option<String>, Header, description = "the number of the last entry that the reader has")),
    responses(
        (status = 200, description = "server-sent events: `entry`, `view`, `reset`, `cut`", body = String, content_type = "text/event-stream"),
        (status = 503, description = "too many readers", body = Problem, content_type = "application/problem+json"),
        Refused))]
pub(crate) async fn stream(State(site): Shared, headers: HeaderMap) -> Response {
    let Ok(permit) = Arc::clone(&site.streams).try_acquire_owned() else {
        let detail = format!("{STREAMS_MAX} readers are here already: come back later, or read /api/v1/overview");
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Too many readers", detail).into_response();
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse::<u64>().ok());
    let (send, receive) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(async move {
        let is_crowd = || CROWD < STREAMS_MAX - site.streams.available_permits();
        feed(&site.window, last, &send, is_crowd).await;
        drop(permit);
    });
    let events = ReceiverStream::new(receive).map(|news: News| Ok::<Event, Infallible>(news.event()));
    let keep = KeepAlive::new().interval(HEARTBEAT).text("here");
    Sse::new(events).keep_alive(keep).into_response()
}

/// What a reader of the stream is sent.
#[derive(Clone, Debug)]
enum News {
    /// A line of the timeline.
    Entry(Arc<Told>),
    /// Everything, as it is now.
    View(Arc<str>),
    /// Entries up to this one are missed.
    Reset(u64),
    /// The reader is too slow: nothing more comes.
    Cut,
}

impl News {
    fn event(&self) -> Event {
        fn data(name: &str, data: &impl Serialize) -> Event {
            Event::default().event(name).json_data(data).unwrap_or_default()
        }
        match self {
            News::Entry(told) => Event::default().event("entry").id(told.entry.id.to_string()).data(&told.text),
            News::View(text) => Event::default().event("view").data(text),
            News::Reset(newest) => data("reset", &"entries are missed: read /api/v1/timeline").id(newest.to_string()),
            News::Cut => {
                data("cut", &"you read too slowly; connect again, and what you missed is sent while it is kept")
            }
        }
    }
}

/// Writes events for one reader until it is gone or too slow.
async fn feed(window: &Window, last: Option<u64>, send: &mpsc::Sender<News>, is_crowd: impl Fn() -> bool) {
    let board = &window.board;
    let mut changes = board.news.subscribe();
    let mut after = last.unwrap_or(changes.borrow_and_update().0);
    let mut seen: Option<(u64, Instant)> = None;
    loop {
        let (newest, views) = *changes.borrow_and_update();
        let mut all = Vec::new();
        match board.entries_after(after, EVENTS_MAX / 2) {
            Some(entries) => {
                after = entries.last().map_or(after, |last| last.entry.id);
                all.extend(entries.into_iter().map(News::Entry));
            }
            None => {
                after = newest;
                all.push(News::Reset(newest));
            }
        }
        let is_new = seen.is_none_or(|(seen, at)| seen != views && (!is_crowd() || CROWD_VIEW_EVERY <= at.elapsed()));
        if is_new {
            seen = Some((views, Instant::now()));
            all.push(News::View(board.view().text()));
        }
        for news in all {
            match send.try_send(news) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    // It is told, if it ever reads on.
                    let _gone = timeout(HEARTBEAT, send.send(News::Cut)).await;
                    return;
                }
            }
        }
        if after < changes.borrow().0 {
            tokio::task::yield_now().await;
            continue;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = send.closed() => return,
        }
        tokio::select! {
            () = tokio::time::sleep(if is_crowd() { CROWD_TOGETHER } else { TOGETHER }) => {}
            () = send.closed() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Board, ENTRIES_MAX, Entry};
    use crate::view::View;

    fn window() -> Window {
        let verdict =
            crate::view::Verdict { level: crate::view::Level::Normal, headline: String::new(), needs: Vec::new() };
        let governance = crate::view::GovernanceView {
            venue: String::new(),
            threshold: 2,
            tighten_max_s: 0,
            statement_max_s: 0,
            keys: Vec::new(),
            proposals: Vec::new(),
        };
        let (at, head) = (String::new(), String::new());
        let (markets, pools) = (Vec::new(), Vec::new());
        let view = View { at, at_micros: 0, height: 1, head, verdict, markets, pools, governance, delivery: None };
        let intake = Arc::new(crate::intake::Intake::new(crate::intake::Listing::default()));
        Window { board: Arc::new(Board::new(view)), ask: mpsc::channel(1).0, intake, pools: Arc::new([]) }
    }

    fn put(window: &Window, entries: usize) {
        for _ in 0..entries {
            let (at, market, text) = (String::new(), String::new(), String::new());
            window.board.put_entry(Entry { id: 0, at, height: 1, market, kind: "test", text, count: 1 });
        }
    }

    async fn told(receive: &mut mpsc::Receiver<News>) -> Vec<News> {
        let mut all = Vec::new();
        while let Ok(Some(news)) = timeout(Duration::from_secs(1), receive.recv()).await {
            all.push(news);
        }
        all
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_who_does_not_read_is_told_and_cut() {
        for (entries, cut) in [(EVENTS_MAX - 1, false), (EVENTS_MAX, true)] {
            let window = window();
            let (send, mut receive) = mpsc::channel(EVENTS_MAX);
            let copy = window.clone();
            let feeding = tokio::spawn(async move { feed(&copy, Some(0), &send, || false).await });
            put(&window, entries);
            tokio::time::sleep(TOGETHER * 2).await;
            // The view takes a place, too.
            let news = told(&mut receive).await;
            assert_eq!(matches!(news.last(), Some(News::Cut)), cut, "{entries}");
            assert_eq!(news.len(), EVENTS_MAX + usize::from(cut), "{entries}");
            assert_eq!(feeding.is_finished(), cut, "{entries}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_together_is_told_together_and_a_crowd_sees_fewer_views() {
        for (is_crowd, expected) in [(false, 1 + 5), (true, 1 + 1)] {
            let window = window();
            let (send, mut receive) = mpsc::channel(EVENTS_MAX);
            let copy = window.clone();
            tokio::spawn(async move { feed(&copy, Some(0), &send, || is_crowd).await });
            // A view and ten lines every tenth of a second, for a second: two of each come together.
            for _ in 0..10 {
                tokio::time::sleep(TOGETHER).await;
                put(&window, 10);
                let view = window.board.view().view.clone();
                window.board.put_view(view);
            }
            tokio::time::sleep(CROWD_TOGETHER * 2).await;
            let (mut views, mut entries) = (0, 0);
            while let Ok(news) = receive.try_recv() {
                views += usize::from(matches!(news, News::View(_)));
                entries += usize::from(matches!(news, News::Entry(_)));
            }
            assert_eq!((views, entries), (expected, 100), "{is_crowd}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_kept_any_more_is_said_to_be_missed() {
        for (after, reset) in [(0, true), (1, false)] {
            let window = window();
            put(&window, ENTRIES_MAX + 1);
            let (send, mut receive) = mpsc::channel(EVENTS_MAX);
            tokio::spawn(async move { feed(&window, Some(after), &send, || false).await });
            let first = receive.recv().await.unwrap();
            let newest = ENTRIES_MAX as u64 + 1;
            assert_eq!(matches!(first, News::Reset(found) if found == newest), reset, "{after}");
            assert_eq!(matches!(first, News::Entry(ref told) if told.entry.id == 2), !reset, "{after}");
        }
    }
}
