//! The settings of topics: read, judged and changed.

use super::{
    admin::{self, Request, c_string},
    cluster::Cluster,
    fault::{Fault, Kind, check, take},
};
use rdkafka::{bindings as rd, types::RDKafkaErrorCode};
use std::{
    collections::BTreeMap,
    ffi::{CStr, CString},
};

impl Cluster<'_> {
    /// The settings of a topic as they hold there: its own, or the broker's defaults. Without those that are secret.
    ///
    /// # Errors
    /// No broker answers, or the topic is unknown.
    pub fn topic_settings(&self, topic: &str) -> Result<BTreeMap<String, String>, Fault> {
        let what = format!("cannot read the settings of the topic {topic}");
        if self.is_mock()? {
            return Err(Fault::new(RDKafkaErrorCode::UnsupportedFeature, what));
        }
        let name = c_string(topic, &what)?;
        let request = self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
        // SAFETY: the resource is copied by the call and then freed, once; the name lives through the constructor.
        let answer = unsafe {
            let kind = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let mut resource = rd::rd_kafka_ConfigResource_new(kind, name.as_ptr());
            rd::rd_kafka_DescribeConfigs(self.client().ptr(), &mut resource, 1, request.options(), request.queue());
            rd::rd_kafka_ConfigResource_destroy(resource);
            request.answer(&what)
        };
        let answer = self.client().answered(answer)?;
        let mut settings = BTreeMap::new();
        // SAFETY: the event is a DescribeConfigs result; everything read from it lives as long as the event. A value
        // may be null: a sensitive one.
        unsafe {
            let (mut resources, mut entries) = (0, 0);
            let result = rd::rd_kafka_event_DescribeConfigs_result(answer.ptr());
            let list = rd::rd_kafka_DescribeConfigs_result_resources(result, &mut resources);
            for resource in admin::slice(list, resources) {
                check(rd::rd_kafka_ConfigResource_error(*resource), &what)?;
                let list = rd::rd_kafka_ConfigResource_configs(*resource, &mut entries);
                for entry in admin::slice(list, entries) {
                    let value = rd::rd_kafka_ConfigEntry_value(*entry);
                    if !value.is_null() {
                        let name = CStr::from_ptr(rd::rd_kafka_ConfigEntry_name(*entry)).to_string_lossy();
                        settings.insert(name.into_owned(), CStr::from_ptr(value).to_string_lossy().into_owned());
                    }
                }
            }
        }
        Ok(settings)
    }

    /// One setting of a topic as it holds there.
    ///
    /// # Errors
    /// As [`Cluster::topic_settings`]; or the topic has no such setting.
    pub fn topic_setting(&self, topic: &str, setting: &str) -> Result<String, Fault> {
        self.topic_settings(topic)?.remove(setting).ok_or_else(|| Fault {
            kind: Kind::Refused,
            code: RDKafkaErrorCode::InvalidConfig,
            message: format!("cannot read {setting} of the topic {topic}: the topic has no such setting"),
        })
    }

    /// Sets these settings of a topic and leaves its others.
    ///
    /// # Errors
    /// The broker's.
    pub fn alter_topic(&self, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), Fault> {
        self.alter(topic, settings, self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS))
    }

    /// Whether the brokers would take these settings; nothing is changed.
    ///
    /// # Errors
    /// As [`Cluster::alter_topic`].
    pub fn judge_settings(&self, topic: &str, settings: &BTreeMap<String, String>) -> Result<(), Fault> {
        let request = self.request(rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS);
        self.alter(topic, settings, request.judging()?)
    }

    fn alter(&self, topic: &str, settings: &BTreeMap<String, String>, request: Request) -> Result<(), Fault> {
        let what = format!("cannot change the settings of the topic {topic}");
        let name = c_string(topic, &what)?;
        // SAFETY: names and values live through the calls, which copy them; the resource is freed once.
        let answer = unsafe {
            let kind = rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let mut resource = rd::rd_kafka_ConfigResource_new(kind, name.as_ptr());
            let set = rd::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            for (setting, value) in settings {
                let (setting, value) = (CString::new(&**setting), CString::new(&**value));
                let (setting, value) = (setting.unwrap_or_default(), value.unwrap_or_default());
                let added =
                    rd::rd_kafka_ConfigResource_add_incremental_config(resource, setting.as_ptr(), set, value.as_ptr());
                if let Err(fault) = take(added, &what) {
                    rd::rd_kafka_ConfigResource_destroy(resource);
                    return Err(fault);
                }
            }
            let client = self.client().ptr();
            rd::rd_kafka_IncrementalAlterConfigs(client, &mut resource, 1, request.options(), request.queue());
            rd::rd_kafka_ConfigResource_destroy(resource);
            request.answer(&what)
        }?;
        // SAFETY: the event is an IncrementalAlterConfigs result; an error's words are a C string or null, and live with it.
        unsafe {
            let mut count = 0;
            let result = rd::rd_kafka_event_IncrementalAlterConfigs_result(answer.ptr());
            for resource in
                admin::slice(rd::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count), count)
            {
                if let Err(fault) = check(rd::rd_kafka_ConfigResource_error(*resource), &what) {
                    let words = rd::rd_kafka_ConfigResource_error_string(*resource);
                    return Err(match words.is_null() {
                        true => fault,
                        false => Fault::worded(fault.code, what, &CStr::from_ptr(words).to_string_lossy()),
                    });
                }
            }
        }
        Ok(())
    }
}
