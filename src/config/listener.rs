//! Listeners: the addresses a broker binds, and those it tells clients to use.

use super::ConfigError;
use super::report::{Report, What};
use super::resolve::Read;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How bytes on a connection are wrapped, and who proves what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    pub fn parse(name: &str) -> Option<SecurityProtocol> {
        match name.to_ascii_uppercase().as_str() {
            "PLAINTEXT" => Some(SecurityProtocol::Plaintext),
            "SSL" => Some(SecurityProtocol::Ssl),
            "SASL_PLAINTEXT" => Some(SecurityProtocol::SaslPlaintext),
            "SASL_SSL" => Some(SecurityProtocol::SaslSsl),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        }
    }

    /// The code in metadata records and in the broker's registration.
    pub fn code(self) -> i16 {
        match self {
            SecurityProtocol::Plaintext => 0,
            SecurityProtocol::Ssl => 1,
            SecurityProtocol::SaslPlaintext => 2,
            SecurityProtocol::SaslSsl => 3,
        }
    }
}

/// One address to bind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Upper case, as Kafka normalises it. May have dashes and dots.
    pub name: String,
    pub protocol: SecurityProtocol,
    /// `None` is every interface.
    pub host: Option<String>,
    /// 0 takes a free port.
    pub port: u16,
}

/// What clients are told for one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertised {
    /// The listener's name; always one of [`Listeners::bound`].
    pub name: String,
    pub protocol: SecurityProtocol,
    /// `None`: the machine's host name, as nobody can connect to "every interface".
    pub host: Option<String>,
    /// 0: the port that the listener was given when it was bound.
    pub port: u16,
}

/// All listeners of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    /// The broker's listeners, in the order of `listeners`. Never empty; names are distinct.
    pub bound: Vec<Listener>,
    /// One for each advertised listener, a subset of `bound` by name. Never empty.
    pub advertised: Vec<Advertised>,
    /// Listeners of `controller.listener.names`. A combined node of one does not bind them: nobody
    /// else votes.
    pub controller: Vec<Listener>,
    /// The advertised listener that other brokers use.
    pub inter_broker: String,
}

/// All the keys about listeners together (`KafkaConfig.validateValues`).
pub(super) fn resolve(read: &Read<'_>, report: &mut Report) -> Result<Listeners, ConfigError> {
    let mut names: Vec<String> = read.list("controller.listener.names");
    names
        .iter_mut()
        .for_each(|name| *name = name.to_uppercase());
    let is_controller = |name: &str| names.iter().any(|controller| controller == name);
    let protocols = protocols(read, &names)?;

    let mut bound = Vec::new();
    let mut controller = Vec::new();
    for text in read.list("listeners") {
        let (name, host, port) = parse_endpoint("listeners", &text)?;
        let protocol = protocol_of(&protocols, &name)?;
        let listener = Listener {
            name,
            protocol,
            host,
            port,
        };
        if is_controller(&listener.name) {
            controller.push(listener);
        } else {
            bound.push(listener);
        }
    }
    distinct_names(
        "listeners",
        bound.iter().chain(&controller).map(|l| l.name.as_str()),
    )?;
    distinct_ports(bound.iter().chain(&controller))?;
    if bound.is_empty() {
        return Err(ConfigError::conflict(
            "listeners: all of them are controller.listener.names, so none is left for clients",
        ));
    }
    // A controller listener is not bound, so nobody is let in there unchecked.
    if let Some(listener) = bound
        .iter()
        .find(|l| l.protocol != SecurityProtocol::Plaintext)
    {
        return Err(ConfigError::refused(
            "listeners",
            &listener.to_string(),
            format!(
                "{} is not available yet; only PLAINTEXT listeners are",
                listener.protocol.name()
            ),
        ));
    }
    for listener in &controller {
        let how = "controller listener, not opened: a node alone has no other voters";
        report.add(
            "listeners",
            &listener.to_string(),
            What::Differs {
                how: how.to_owned(),
            },
        );
    }

    let advertised = advertised(read, &protocols, &bound, is_controller)?;
    let inter_broker = inter_broker(read, &protocols, &advertised)?;
    Ok(Listeners {
        bound,
        advertised,
        controller,
        inter_broker,
    })
}

type Protocols = BTreeMap<String, SecurityProtocol>;

/// `listener.security.protocol.map`. Where it is not set, controller listeners count as PLAINTEXT
/// unless TLS or SASL is in use anywhere.
fn protocols(read: &Read<'_>, controllers: &[String]) -> Result<Protocols, ConfigError> {
    let key = "listener.security.protocol.map";
    let text = read.text(key).unwrap_or_default();
    let mut protocols = Protocols::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let wrong =
            || ConfigError::expected(key, entry, "NAME:PROTOCOL, as in PLAINTEXT:PLAINTEXT");
        let (name, protocol) = entry.rsplit_once(':').ok_or_else(wrong)?;
        let protocol = SecurityProtocol::parse(protocol.trim()).ok_or_else(|| {
            ConfigError::expected(
                key,
                entry,
                "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL after the colon",
            )
        })?;
        protocols.insert(name.trim().to_uppercase(), protocol);
    }
    let secured = |name: &str| {
        SecurityProtocol::parse(name).is_some_and(|p| p != SecurityProtocol::Plaintext)
    };
    let listeners = read.list("listeners");
    let in_use = controllers.iter().any(|name| secured(name))
        || listeners
            .iter()
            .any(|l| l.split_once(':').is_some_and(|(name, _)| secured(name)));
    if !read.is_set(key) && !in_use {
        for name in controllers {
            protocols
                .entry(name.clone())
                .or_insert(SecurityProtocol::Plaintext);
        }
    }
    Ok(protocols)
}

fn protocol_of(protocols: &Protocols, name: &str) -> Result<SecurityProtocol, ConfigError> {
    protocols.get(name).copied().ok_or_else(|| {
        ConfigError::conflict(format!(
            "listener {name} has no security protocol: add {name}:PLAINTEXT to \
             listener.security.protocol.map"
        ))
    })
}

fn advertised(
    read: &Read<'_>,
    protocols: &Protocols,
    bound: &[Listener],
    is_controller: impl Fn(&str) -> bool,
) -> Result<Vec<Advertised>, ConfigError> {
    let key = "advertised.listeners";
    let mut advertised = Vec::new();
    if read.is_set(key) {
        for text in read.list(key) {
            let (name, host, port) = parse_endpoint(key, &text)?;
            let protocol = protocol_of(protocols, &name)?;
            if !is_controller(&name) {
                advertised.push(Advertised {
                    name,
                    protocol,
                    host,
                    port,
                });
            }
        }
    } else {
        advertised.extend(bound.iter().cloned().map(
            |Listener {
                 name,
                 protocol,
                 host,
                 port,
             }| {
                Advertised {
                    name,
                    protocol,
                    host,
                    port,
                }
            },
        ));
    }
    distinct_names(key, advertised.iter().map(|a| a.name.as_str()))?;
    if advertised.is_empty() {
        return Err(ConfigError::conflict(
            "advertised.listeners: none is a broker listener, so clients would find no broker",
        ));
    }
    for endpoint in &advertised {
        if !bound.iter().any(|listener| listener.name == endpoint.name) {
            return Err(ConfigError::conflict(format!(
                "advertised.listeners: {endpoint} is not one of listeners ({})",
                bound
                    .iter()
                    .map(|l| l.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        if endpoint.host.as_deref() == Some("0.0.0.0") {
            return Err(ConfigError::conflict(format!(
                "advertised.listeners: clients cannot connect to 0.0.0.0 ({endpoint}); advertise \
                 a name or address that they can reach"
            )));
        }
    }
    Ok(advertised)
}

fn inter_broker(
    read: &Read<'_>,
    protocols: &Protocols,
    advertised: &[Advertised],
) -> Result<String, ConfigError> {
    let name = match read.text("inter.broker.listener.name") {
        Some(_) if read.is_set("security.inter.broker.protocol") => {
            return Err(ConfigError::conflict(
                "set inter.broker.listener.name or security.inter.broker.protocol, not both",
            ));
        }
        Some(name) => {
            let name = name.to_uppercase();
            protocol_of(protocols, &name)?;
            name
        }
        None => read
            .text("security.inter.broker.protocol")
            .unwrap_or_default(),
    };
    if advertised.iter().any(|endpoint| endpoint.name == name) {
        Ok(name)
    } else {
        Err(ConfigError::conflict(format!(
            "inter.broker.listener.name: {name} is not one of the advertised listeners ({})",
            advertised
                .iter()
                .map(|a| a.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )))
    }
}

fn distinct_names<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ConfigError> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(ConfigError::conflict(format!(
                "{key}: the name {name} is used twice"
            )));
        }
        seen.push(name);
    }
    Ok(())
}

/// A port may be used twice only by one IPv4 and one IPv6 address.
fn distinct_ports<'a>(listeners: impl Iterator<Item = &'a Listener>) -> Result<(), ConfigError> {
    let mut by_port: BTreeMap<u16, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners.filter(|l| l.port != 0) {
        by_port.entry(listener.port).or_default().push(listener);
    }
    for (port, sharing) in by_port {
        let v4 = |l: &Listener| {
            l.host
                .as_ref()
                .is_some_and(|h| h.parse::<Ipv4Addr>().is_ok())
        };
        let v6 = |l: &Listener| {
            l.host
                .as_ref()
                .is_some_and(|h| h.parse::<Ipv6Addr>().is_ok())
        };
        let fine = match sharing.as_slice() {
            [_] => true,
            [a, b] => (v4(a) && v6(b)) || (v6(a) && v4(b)),
            _ => false,
        };
        if !fine {
            return Err(ConfigError::conflict(format!(
                "listeners: port {port} is used twice"
            )));
        }
    }
    Ok(())
}

/// `NAME://host:port`, with the name in upper case. Hosts may be empty, names, IPv4, or IPv6 with or
/// without brackets (`SocketServerConfigs.listenerListToEndPoints`).
pub(super) fn parse_endpoint(
    key: &str,
    text: &str,
) -> Result<(String, Option<String>, u16), ConfigError> {
    let wrong = || {
        ConfigError::expected(
            key,
            text,
            "NAME://host:port, as in PLAINTEXT://localhost:9092",
        )
    };
    let (name, address) = text.split_once("://").ok_or_else(wrong)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host
        .strip_prefix('[')
        .map_or(Some(host), |rest| rest.strip_suffix(']'));
    let host = host.ok_or_else(wrong)?;
    let in_host = |b: u8| b.is_ascii_alphanumeric() || b"-%._:".contains(&b);
    if name.trim().is_empty() || !host.bytes().all(in_host) {
        return Err(wrong());
    }
    let port = port.parse().map_err(|_| {
        ConfigError::expected(key, text, "a port from 0 to 65535 after the last colon")
    })?;
    Ok((
        name.trim().to_uppercase(),
        (!host.is_empty()).then(|| host.to_owned()),
        port,
    ))
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_endpoint(f, &self.name, self.host.as_deref(), self.port)
    }
}

impl fmt::Display for Advertised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_endpoint(f, &self.name, self.host.as_deref(), self.port)
    }
}

fn write_endpoint(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    host: Option<&str>,
    port: u16,
) -> fmt::Result {
    match host {
        None => write!(f, "{name}://:{port}"),
        Some(host) if host.contains(':') => write!(f, "{name}://[{host}]:{port}"),
        Some(host) => write!(f, "{name}://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, Option<String>, u16), ConfigError> {
        parse_endpoint("listeners", text)
    }

    #[test]
    fn a_listener_name_may_have_dashes_and_any_case() {
        assert_eq!(parse("tc-0://:19092"), Ok(("TC-0".into(), None, 19092)));
    }

    #[test]
    fn an_address_of_six_bytes_more_keeps_its_colons() {
        assert_eq!(
            parse("A://[::1]:0"),
            Ok(("A".into(), Some("::1".into()), 0))
        );
        assert_eq!(
            parse("A://::1:9092"),
            Ok(("A".into(), Some("::1".into()), 9092))
        );
    }

    #[test]
    fn an_endpoint_without_name_port_or_scheme_is_refused() {
        for text in [
            "",
            "localhost:9092",
            "A://localhost",
            "://h:1",
            "A://h:-1",
            "A://h:65536",
            "A://h h:1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
