//! What librdkafka and the brokers refuse, sorted by what helps.

use crate::failure::{Cause, Remedy, Setback};
use rdkafka::{bindings as rd, types::RDKafkaErrorCode as Code};
use std::{ffi::CStr, fmt};

/// What helps against a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The same call again, later.
    Retriable,
    /// The open transaction must be aborted; the producer stays usable.
    Abortable,
    /// The group has moved on without us: nothing was committed. Claim again; a producer stays usable once it has aborted.
    Fenced,
    /// The client is of no further use: make a new one. A producer whose transactional id another one has taken is so too.
    Fatal,
    /// The cluster says no, and will say so again until somebody changes it: unknown topic, bad property.
    Refused,
}

/// An error of librdkafka or a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub code: Code,
    /// What was tried, and what came back.
    pub message: String,
}

impl Fault {
    /// A fault by its code alone, where librdkafka says nothing more.
    pub(super) fn new(code: Code, what: impl fmt::Display) -> Fault {
        Fault { kind: kind(code), code, message: format!("{what}: {}", words(code)) }
    }

    /// A fault that librdkafka puts into words.
    pub(super) fn worded(code: Code, what: impl fmt::Display, words: &str) -> Fault {
        Fault { kind: kind(code), code, message: format!("{what}: {words}") }
    }

    /// Whether it says no more than that nothing answers.
    pub(super) fn is_unreachable(&self) -> bool {
        matches!(
            self.code,
            Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut
        )
    }

    /// Whether it says that a topic is unknown.
    fn is_unknown_topic(&self) -> bool {
        matches!(self.code, Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition)
    }

    /// Whether records were not taken in time, as they are not where their topic is gone.
    pub fn may_be_for_want_of_a_topic(&self) -> bool {
        self.is_unknown_topic() || matches!(self.code, Code::OperationTimedOut | Code::MessageTimedOut)
    }

    /// Whether it only follows from another fault of the same transaction.
    pub fn is_consequence(&self) -> bool {
        matches!(self.code, Code::PurgeQueue | Code::PurgeInflight | Code::State)
    }

    /// Whether the brokers refused who we are or what we may do.
    pub fn is_authorization(&self) -> bool {
        is_authorization(self.code)
    }

    /// Whether the group does not take this member: it asks on and on, and only a person can change the answer.
    pub(super) fn refuses_member(&self) -> bool {
        use Code as C;
        matches!(
            self.code,
            C::GroupAuthorizationFailed
                | C::InvalidSessionTimeout
                | C::InconsistentGroupProtocol
                | C::GroupMaxSizeReached
        )
    }

    /// Whether waiting alone may mend it: an unreachable broker, a moving leader, a timeout.
    pub fn is_retriable(&self) -> bool {
        self.kind == Kind::Retriable
    }
}

/// Checks a code that a C function returned.
pub(super) fn check(code: rd::rd_kafka_resp_err_t, what: impl fmt::Display) -> Result<(), Fault> {
    if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        Ok(())
    } else {
        Err(Fault::new(code.into(), what))
    }
}

/// Takes an error object that a C function returned, null for success, and frees it.
///
/// # Safety
/// `error` is null or a live error object that nobody else frees.
pub(super) unsafe fn take(error: *mut rd::rd_kafka_error_t, what: impl fmt::Display) -> Result<(), Fault> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the caller promises a live error object; its words are copied before it is freed, and it is freed once.
    unsafe {
        let code = Code::from(rd::rd_kafka_error_code(error));
        let words = CStr::from_ptr(rd::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        let mut fault = Fault::worded(code, what, &words);
        if !matches!(fault.kind, Kind::Fenced | Kind::Fatal) {
            fault.kind = match () {
                () if rd::rd_kafka_error_is_fatal(error) != 0 => Kind::Fatal,
                () if rd::rd_kafka_error_txn_requires_abort(error) != 0 => Kind::Abortable,
                () if rd::rd_kafka_error_is_retriable(error) != 0 => Kind::Retriable,
                () => fault.kind,
            };
        }
        rd::rd_kafka_error_destroy(error);
        Err(fault)
    }
}

/// A code as librdkafka says it in words: `Broker: Unknown topic or partition`.
fn words(code: Code) -> String {
    let text = code.to_string();
    let words = text.split_once(" (").and_then(|(_, words)| words.strip_suffix(')')).unwrap_or(&text);
    words.strip_prefix("Local: ").unwrap_or(words).to_owned()
}

/// What helps where no broker answers, by what librdkafka says of its connections.
fn reach(message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match () {
        () if says(&["resolve"]) => "correct the host's name in bootstrap_servers of [kafka]",
        () if says(&["SASL", "uthentication"]) => {
            "\"security.protocol\" and the sasl.* settings in [kafka.properties] have to be those of the listener"
        }
        () if says(&["SSL", "certificate"]) => {
            "\"security.protocol\" and the ssl.* settings in [kafka.properties] have to be those of the listener"
        }
        () if says(&["Connect to"]) => "start the brokers, or correct bootstrap_servers in [kafka]",
        () if says(&["isconnected", "nvalid response", "eceive failed", "ApiVersion"]) => {
            "something answers there, but not as the brokers would: correct bootstrap_servers in [kafka], or \
             \"security.protocol\" in [kafka.properties]"
        }
        () => "",
    }
}

fn is_authorization(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedSASLMechanism
            | Code::SSL
    )
}

fn kind(code: Code) -> Kind {
    match code {
        Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::StaleMemberEpoch
        | Code::FencedMemberEpoch
        | Code::FencedInstanceId
        | Code::RebalanceInProgress => Kind::Fenced,
        Code::Fatal | Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => Kind::Fatal,
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::InvalidTopic
        | Code::InvalidArgument
        | Code::InvalidConfig
        | Code::InvalidRequest
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::TopicAlreadyExists
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature => Kind::Refused,
        _ => Kind::Retriable,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Setback {
    /// Fenced ones are [`Cause::Fenced`]; what a person must mend stands; all else is tried again. So is a topic or partition
    /// that is unknown: a broker may not have heard of it yet. Whoever needs to know asks for the topic itself.
    fn from(fault: Fault) -> Setback {
        let taken = matches!(fault.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch);
        let cause = if taken || fault.kind == Kind::Fenced { Cause::Fenced } else { Cause::Broker };
        let unknown = fault.is_unknown_topic();
        let remedy = if fault.kind == Kind::Refused && !unknown { Remedy::Stand } else { Remedy::Retry };
        let help = match fault.code {
            code if is_authorization(code) => "check the credentials in [kafka.properties] and the principal's ACLs",
            _ if unknown => "make the topic (`pointsman apply` makes those listed under [topics]), or correct its name",
            Code::InvalidSessionTimeout => {
                "set `session.timeout.ms` of [kafka] consumer within the brokers' group.min.session.timeout.ms and \
                 group.max.session.timeout.ms"
            }
            Code::InconsistentGroupProtocol => {
                "a member of this group has another partition.assignment.strategy: give the route a `group` of its own, or \
                 set the same one under [kafka] consumer"
            }
            _ if fault.is_unreachable() => reach(&fault.message),
            _ => "",
        };
        Setback { cause, remedy, message: fault.message, help: help.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_whether_waiting_a_person_or_a_new_claim_helps() {
        let setback = |code| Setback::from(Fault::new(code, "x"));
        for (code, cause, remedy) in [
            (Code::BrokerTransportFailure, Cause::Broker, Remedy::Retry),
            (Code::OperationTimedOut, Cause::Broker, Remedy::Retry),
            (Code::NotLeaderForPartition, Cause::Broker, Remedy::Retry),
            (Code::TopicAuthorizationFailed, Cause::Broker, Remedy::Retry),
            (Code::UnknownTopicOrPartition, Cause::Broker, Remedy::Retry),
            (Code::InvalidTopic, Cause::Broker, Remedy::Stand),
            (Code::IllegalGeneration, Cause::Fenced, Remedy::Retry),
            (Code::Fenced, Cause::Fenced, Remedy::Retry),
        ] {
            assert_eq!((setback(code).cause, setback(code).remedy), (cause, remedy), "{code:?}");
        }
        assert!(setback(Code::TopicAuthorizationFailed).help.contains("credentials"));
    }
}
