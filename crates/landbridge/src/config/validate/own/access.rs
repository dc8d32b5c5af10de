//! Access rules: whether everybody whom they name can be known, and what they amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use landbridge_origin::access::{Actions, IssuerSettings, Rule, Who, is_service_name};
use url::Url;

use super::super::{Secrets, Validator};
use crate::config::path::Path;
use crate::config::problem::did_you_mean;
use crate::config::raw::own::access::{Access, AccessRule, Issuer, May, Tokens};
use crate::config::scalar::Name;
use crate::config::scalar::access::Who as RawWho;
use crate::own::OwnAccess;

/// What an origin is called in its tokens if nobody gave it a name.
const SERVICE: &str = "landbridge";

impl Validator<'_> {
    pub(super) fn access(&mut self, raw: &Access, at: &Path) -> Option<OwnAccess> {
        let issuers = self.issuers(&raw.issuers, &at.field("issuers"));
        let rules = self.rules(raw, &at.field("rules"));
        let tokens_at = at.field("tokens");
        let service = self.service(&raw.tokens, &tokens_at);
        let lifetime = Duration::from_mins(1);
        let lifetime = self.at_least(raw.tokens.lifetime, lifetime, &tokens_at.field("lifetime"));
        let htpasswd = raw.htpasswd.as_ref().map(|file| match self.surroundings.secrets {
            Secrets::Read => self.existing_file(file, &at.field("htpasswd")),
            Secrets::Skip => self.resolve(file),
        });
        Some(OwnAccess {
            rules: rules?,
            htpasswd,
            issuers: issuers?,
            service,
            url: raw.tokens.url.as_ref().map(|url| url.0.clone()),
            key: raw.tokens.key.as_ref().map(|key| self.resolve(key)),
            token_lifetime: lifetime,
        })
    }

    fn issuers(&mut self, raw: &[Issuer], at: &Path) -> Option<Vec<IssuerSettings>> {
        let (mut names, mut urls) = (BTreeMap::new(), BTreeMap::new());
        let mut issuers = Vec::new();
        for (index, issuer) in raw.iter().enumerate() {
            let at = at.item(index);
            let Issuer { name: Some(name), url: Some(url), audience: Some(audience) } = issuer
            else {
                issuers.push(None);
                continue;
            };
            if names.insert(name, index).is_some() {
                self.report(&at.field("name"), format!("another issuer is called `{name}` too"));
            }
            if let Some(other) = urls.insert(url, index) {
                self.report(&at.field("url"), format!("issuers[{other}] has this address already"));
            }
            let (name, url, audience) = (name.to_string(), url.clone(), audience.clone());
            let settings = IssuerSettings { name, url, audience };
            if let Err(error) = settings.check() {
                self.report(&at, error.to_string());
            }
            issuers.push(Some(settings));
        }
        issuers.into_iter().collect()
    }

    /// One rule for each of those whom a written one is about.
    fn rules(&mut self, raw: &Access, at: &Path) -> Option<Vec<Rule>> {
        let written = raw.rules.as_ref()?;
        if written.is_empty() {
            let message = "is empty, so nobody could do anything: `{who: [anyone], repositories: [\"*\"], may: [pull]}` lets everybody pull";
            self.report(at, message);
        }
        let mut rules = Vec::new();
        for (index, rule) in written.iter().enumerate() {
            let at = at.item(index);
            for (position, who) in rule.who.iter().flatten().enumerate() {
                let at = at.field("who").item(position);
                self.is_known(who, raw, &at);
                if !rule.claims.is_empty() && !matches!(who, RawWho::Oidc(..)) {
                    let message = format!(
                        "`{who}` has no claims: keep those whom `claims` is about in a rule of their own"
                    );
                    self.report(&at, message);
                }
            }
            self.is_about_something(rule, &at);
            rules.push(expand(rule));
        }
        let rules: Option<Vec<Vec<Rule>>> = rules.into_iter().collect();
        rules.map(|rules| rules.concat())
    }

    /// Reports somebody of whom nothing here could tell who he is.
    fn is_known(&mut self, who: &RawWho, raw: &Access, at: &Path) {
        match who {
            RawWho::Anyone => {}
            RawWho::AnyUser | RawWho::User(_) => {
                if raw.htpasswd.is_none() {
                    let message = format!(
                        "`{who}` is in no password file: name one as `origin.access.htpasswd`"
                    );
                    self.report(at, message);
                }
            }
            RawWho::Oidc(issuer, _) => {
                let known = || raw.issuers.iter().filter_map(|it| it.name.as_ref());
                if !known().any(|name| name == issuer) {
                    let hint = did_you_mean(issuer.as_str(), known().map(Name::as_str));
                    let message =
                        format!("there is no issuer `{issuer}` in `origin.access.issuers`{hint}");
                    self.report(at, message);
                }
            }
        }
    }

    fn is_about_something(&mut self, rule: &AccessRule, at: &Path) {
        for (name, is_empty) in [
            ("who", rule.who.as_ref().is_some_and(Vec::is_empty)),
            ("repositories", rule.repositories.as_ref().is_some_and(Vec::is_empty)),
            ("may", rule.may.as_ref().is_some_and(Vec::is_empty)),
        ] {
            if is_empty {
                self.report(&at.field(name), "is empty, so the rule allows nothing");
            }
        }
    }

    fn service(&mut self, raw: &Tokens, at: &Path) -> String {
        if let Some(url) = &raw.url
            && url.0.path() != "/"
        {
            let message = format!("`{url}` has a path: write scheme and host only");
            self.report(&at.field("url"), message);
        }
        let Some(service) = &raw.service else {
            let host = raw.url.as_ref().and_then(|url| Url::host_str(&url.0));
            // The host of a URL may be an IPv6 address, whose brackets no name has.
            return host.filter(|host| is_service_name(host)).unwrap_or(SERVICE).to_owned();
        };
        if !is_service_name(service) {
            let message = format!(
                "`{service}` is no name for an origin: write its host name, as `registry.example.org`"
            );
            self.report(&at.field("service"), message);
        }
        service.clone()
    }
}

fn expand(raw: &AccessRule) -> Option<Vec<Rule>> {
    let repositories: Vec<_> = raw.repositories.iter().flatten().map(|it| it.0.clone()).collect();
    let mut actions = Actions::NONE;
    for may in raw.may.as_ref()? {
        match may {
            May::Pull => actions.pull = true,
            May::Push => actions.push = true,
            May::Delete => actions.delete = true,
            May::Catalog => actions.catalog = true,
        }
    }
    let claims = || {
        let claims = raw.claims.iter();
        claims.map(|(name, wanted)| (name.to_string(), wanted.0.clone())).collect()
    };
    let rules = raw.who.as_ref()?.iter().map(|who| Rule {
        who: match who {
            RawWho::Anyone => Who::Anyone,
            RawWho::AnyUser => Who::AnyUser,
            RawWho::User(name) => Who::User(name.clone()),
            RawWho::Oidc(issuer, subject) => {
                Who::Oidc { issuer: issuer.to_string(), subject: subject.clone(), claims: claims() }
            }
        },
        repositories: repositories.clone(),
        actions,
    });
    Some(rules.collect())
}
