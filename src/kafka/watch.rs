//! What a client says about itself: log lines, a few a minute, and whether its cluster answers.

use super::fault::Fault;
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A client writes a line of the same facility at most this often, and a process the same words.
const QUIET: Duration = Duration::from_secs(30);

/// For how long a failed connection explains that nothing answers: librdkafka repeats itself every 30 s.
const RECENT: Duration = Duration::from_secs(60);

/// A cluster that does not answer, or refuses us.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub since: Instant,
    pub fault: Fault,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Whether `state` has a trouble: what the path of every batch looks at.
    troubled: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
    /// When it answered last, if no connection has failed since.
    answered: Mutex<Option<Instant>>,
    said: Mutex<HashMap<String, Said>>,
    /// Why a connection failed last.
    failed: Mutex<Option<(Instant, String)>>,
    /// The last partition that was not let into a transaction, and why.
    not_added: Mutex<Option<(Instant, String)>>,
}

#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    /// Lines held back since.
    held: u32,
}

impl Watch {
    /// The cluster answered.
    pub fn well(&self) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        if self.troubled.load(Ordering::Relaxed) {
            self.troubled.store(false, Ordering::Relaxed);
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
            tracing::info!(target: "kafka", "the cluster answers again");
        }
    }

    /// Notes a fault that says something about the cluster as a whole.
    pub fn trouble(&self, fault: &Fault) {
        if !fault.is_unreachable() && !fault.is_authorization() {
            return;
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let since = trouble.as_ref().map_or_else(Instant::now, |t| t.since);
        *trouble = Some(Trouble { since, fault: self.explained(fault.clone()) });
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// The fault with why no broker answers, where a connection has failed a moment ago.
    pub fn explained(&self, mut fault: Fault) -> Fault {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, why)) = &*failed
            && fault.is_unreachable()
            && at.elapsed() < RECENT
            && !fault.message.contains(why)
        {
            fault.message = format!("{}: {why}", fault.message);
        }
        fault
    }

    /// Which partition was kept out of the transaction a moment ago, and why: only a log line says.
    pub fn not_added(&self) -> Option<String> {
        let not_added = self.not_added.lock().unwrap_or_else(PoisonError::into_inner).take();
        not_added.filter(|(at, _)| at.elapsed() < RECENT).map(|(_, line)| line)
    }

    /// Whether the cluster answered within so long, and no connection has failed since.
    pub fn answered_within(&self, time: Duration) -> bool {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < time)
    }

    /// What is wrong at the moment.
    pub fn current(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A log line of librdkafka, with syslog's levels. Most are repeated for as long as their cause lasts.
    pub fn line(&self, level: i32, facility: &str, line: &str) {
        if facility == "FAIL" {
            *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = None;
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why(line)));
        }
        // Of the others it only says that they were not tried.
        if facility == "ADDPARTS" && !line.contains("not attempted") {
            *self.not_added.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), why(line)));
        }
        if level <= 5 {
            let Some(held) = self.may_say(facility, why(line), Instant::now()) else { return };
            match level {
                ..=3 => tracing::error!(target: "kafka", facility, held_back = held, "{line}"),
                4 => tracing::warn!(target: "kafka", facility, held_back = held, "{line}"),
                _ => tracing::info!(target: "kafka", facility, held_back = held, "{line}"),
            }
        } else {
            tracing::debug!(target: "kafka", facility, "{line}");
        }
    }

    /// How many lines were held back since the last one of this facility; `None` while it must be quiet, or while another
    /// client has just said the same.
    fn may_say(&self, facility: &str, sentence: String, now: Instant) -> Option<u32> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let said = said.entry(facility.to_owned()).or_default();
        if said.at.is_some_and(|at| now.duration_since(at) < QUIET) || is_repeated(sentence, now) {
            said.held = said.held.saturating_add(1);
            return None;
        }
        said.at = Some(now);
        Some(std::mem::take(&mut said.held))
    }
}

/// What the clients of this process have said lately: that a broker is down need not be said by each.
static SAID: Mutex<Vec<(Instant, String)>> = Mutex::new(Vec::new());

fn is_repeated(sentence: String, now: Instant) -> bool {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.retain(|(at, _)| now.duration_since(*at) < QUIET);
    let repeated = said.iter().any(|(_, known)| *known == sentence);
    if !repeated {
        said.push((now, sentence));
    }
    repeated
}

/// A line about a connection without the thread's name before it and the state after it.
fn why(line: &str) -> String {
    let line = line.strip_prefix("[thrd:").and_then(|l| l.split_once("]: ")).map_or(line, |(_, said)| said);
    line.rsplit_once(" (after ").map_or(line, |(said, _)| said).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::types::RDKafkaErrorCode as Code;

    #[test]
    fn a_repeated_line_is_counted_and_not_written() {
        let (watch, now) = (Watch::default(), Instant::now());
        let may_say = |facility, at| watch.may_say(facility, format!("{facility} of a test"), at);
        assert_eq!(may_say("FAIL", now), Some(0));
        assert_eq!(may_say("FAIL", now), None);
        assert_eq!(may_say("MAXPOLL", now), Some(0));
        assert_eq!(may_say("FAIL", now + QUIET), Some(1));
    }

    #[test]
    fn what_one_client_has_said_others_do_not_repeat() {
        let (one, other, now) = (Watch::default(), Watch::default(), Instant::now());
        let down = |broker: &str| format!("{broker} is down");
        assert_eq!(one.may_say("FAIL", down("a"), now), Some(0));
        assert_eq!(other.may_say("FAIL", down("a"), now), None);
        assert_eq!(other.may_say("FAIL", down("b"), now), Some(1), "another broker is another matter");
    }

    #[test]
    fn trouble_lasts_until_the_cluster_answers() {
        let watch = Watch::default();
        watch.trouble(&Fault::new(Code::MessageSizeTooLarge, "x"));
        assert!(watch.current().is_none());
        watch.trouble(&Fault::new(Code::AllBrokersDown, "x"));
        let since = watch.current().unwrap().since;
        watch.trouble(&Fault::new(Code::Authentication, "x"));
        let now = watch.current().unwrap();
        assert_eq!((now.since, now.fault.code), (since, Code::Authentication));
        watch.well();
        assert!(watch.current().is_none());
    }

    #[test]
    fn an_answer_counts_until_a_connection_fails() {
        let (watch, long) = (Watch::default(), Duration::from_secs(60));
        assert!(!watch.answered_within(long));
        watch.well();
        assert!(watch.answered_within(long) && !watch.answered_within(Duration::ZERO));
        watch.line(7, "FAIL", "[thrd:a:1/1]: a:1/1: Disconnected (after 12ms in state UP)");
        assert!(!watch.answered_within(long));
    }

    #[test]
    fn a_connection_that_failed_explains_what_does_not_answer() {
        let watch = Watch::default();
        let line = "[thrd:a:1/bootstrap]: a:1/bootstrap: Connect to ipv4#1.2.3.4:1 failed: Connection refused (after 0ms in state CONNECT)";
        watch.line(7, "FAIL", line);
        let fault = watch.explained(Fault::new(Code::BrokerTransportFailure, "x"));
        let why = "a:1/bootstrap: Connect to ipv4#1.2.3.4:1 failed: Connection refused";
        assert_eq!(fault.message, format!("x: Broker transport failure: {why}"));
        assert_eq!(watch.explained(fault.clone()), fault);
        let other = Fault::new(Code::MessageSizeTooLarge, "x");
        assert_eq!(watch.explained(other.clone()), other);
    }
}
