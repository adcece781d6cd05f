//! Brings messages: a thread for each target, so that one that is down keeps no other waiting.

use crate::message::Message;
use crate::targets::Target;
use crate::tracker::{News, Severity};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The most messages that wait for a target; of one key only the newest does.
const WAITING_MAX: usize = 256;
/// The first wait after a failure; each further one is twice as long.
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How long one try may take.
const TRY_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<News>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Line {
    queue: Mutex<Queue>,
    changed: Condvar,
}

fn held(line: &Line) -> MutexGuard<'_, Queue> {
    line.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key_of(news: &News) -> &str {
    match news {
        News::Begun(incident) => &incident.key,
        News::Over { key, .. } => key,
    }
}

fn severity_of(news: &News) -> Severity {
    match news {
        News::Begun(incident) => incident.severity,
        News::Over { severity, .. } => *severity,
    }
}

impl Line {
    /// The newest of a key takes the place of what waits. Where as many wait as may, the oldest goes: its end, or its worse, is told when it comes.
    fn put(&self, news: News) {
        let mut queue = held(self);
        if let Some(place) = queue.waiting.iter().position(|other| key_of(other) == key_of(&news)) {
            queue.waiting.remove(place);
        } else if queue.waiting.len() == WAITING_MAX {
            queue.waiting.pop_front();
        }
        queue.waiting.push_back(news);
        self.changed.notify_all();
    }

    /// The next message; `None` when it is over and nothing waits.
    fn next(&self) -> Option<News> {
        let mut queue = held(self);
        loop {
            if let Some(news) = queue.waiting.pop_front() {
                return Some(news);
            }
            if queue.is_over {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back what could not be brought, unless something newer of its key waits; then waits.
    fn again(&self, news: News, pause: Duration) -> bool {
        let mut queue = held(self);
        if !queue.waiting.iter().any(|other| key_of(other) == key_of(&news)) {
            queue.waiting.push_front(news);
        }
        let over = |queue: &mut Queue| !queue.is_over;
        let (queue, _) = self.changed.wait_timeout_while(queue, pause, over).unwrap_or_else(PoisonError::into_inner);
        !queue.is_over
    }
}

/// Who brings messages to everybody.
#[derive(Debug)]
pub struct Courier {
    lines: Vec<(Severity, Arc<Line>)>,
}

impl Courier {
    /// Begins to bring messages of the node of this name to `targets`.
    #[must_use]
    pub fn new(targets: Vec<Target>, node: &str, runbook: &str) -> Courier {
        let start = |target: Target| {
            let (line, from) = (Arc::new(Line::default()), target.from);
            let (own, node, runbook) = (Arc::clone(&line), node.to_owned(), runbook.to_owned());
            std::thread::spawn(move || bring(&own, &target, &node, &runbook));
            (from, line)
        };
        Courier { lines: targets.into_iter().map(start).collect() }
    }

    /// Has everybody told whom it concerns. Never waits.
    pub fn tell(&self, news: &[News]) {
        for news in news {
            for (from, line) in &self.lines {
                if *from <= severity_of(news) {
                    line.put(news.clone());
                }
            }
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        for (_, line) in &self.lines {
            held(line).is_over = true;
            line.changed.notify_all();
        }
    }
}

fn bring(line: &Line, target: &Target, node: &str, runbook: &str) {
    let config = ureq::Agent::config_builder().timeout_global(Some(TRY_MAX)).http_status_as_error(false);
    let agent: ureq::Agent = config.build().into();
    let mut pause = BACKOFF;
    while let Some(news) = line.next() {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        let message = Message::of(target, &news, node, runbook, time);
        let mut request = agent.post(&target.url).header("content-type", "application/json");
        for (name, value) in &message.headers {
            request = request.header(*name, value);
        }
        // What is refused for good is not tried again; whatever else is, later.
        let is_brought = match request.send(&message.body) {
            Ok(answer) => {
                let status = answer.status().as_u16();
                if (400..500).contains(&status) && status != 429 && status != 408 {
                    eprintln!("seawall: an alert was refused with status {status} ({:?})", target.kind);
                }
                !(status == 429 || status == 408 || 500 <= status)
            }
            Err(_) => false,
        };
        if is_brought {
            pause = BACKOFF;
        } else {
            if pause == BACKOFF {
                eprintln!("seawall: an alert could not be brought ({:?}); it is tried again", target.kind);
            }
            if !line.again(news, pause) {
                return;
            }
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::Incident;

    fn begun(key: &str) -> News {
        let (key, text) = (key.to_owned(), String::new());
        News::Begun(Incident { key, severity: Severity::Critical, summary: text.clone(), remedy: text })
    }

    #[test]
    fn of_a_key_the_newest_waits_and_of_too_many_the_oldest_goes() {
        let line = Line::default();
        line.put(begun("a"));
        line.put(begun("b"));
        line.put(News::Over { key: "a".to_owned(), severity: Severity::Critical });
        assert_eq!(line.next(), Some(begun("b")));
        assert!(matches!(line.next(), Some(News::Over { key, .. }) if key == "a"));
        for n in 0..=WAITING_MAX {
            line.put(begun(&n.to_string()));
        }
        assert_eq!(held(&line).waiting.len(), WAITING_MAX);
        assert_eq!(line.next(), Some(begun("1")));
        // What could not be brought goes first again, unless it is old news by now.
        assert!(line.again(begun("1"), Duration::ZERO));
        assert_eq!(line.next(), Some(begun("1")));
        line.put(News::Over { key: "1".to_owned(), severity: Severity::Critical });
        assert!(line.again(begun("1"), Duration::ZERO));
        assert_eq!(line.next(), Some(begun("2")));
    }
}
