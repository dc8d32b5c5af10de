//! Who is told of pushes and deletions.

use std::collections::BTreeSet;
use std::time::Duration;

use landbridge_origin::access::Secret;
use landbridge_origin::events::{EventFile, EventSettings, WebhookSettings};
use url::Url;

use super::super::{Secrets, Validator, as_usize};
use super::if_written;
use crate::config::path::Path;
use crate::config::raw::own::events::{Events, Webhook};

impl Validator<'_> {
    pub(super) fn events(&mut self, raw: &Events, at: &Path) -> Option<EventSettings> {
        let file = raw.file.as_ref().map(|file| {
            Some(EventFile {
                directory: self.resolve(file.directory.as_ref()?),
                rotate_bytes: file.rotate.0,
                keep_files: as_usize(file.keep.into()),
            })
        });
        let mut names = BTreeSet::new();
        let mut webhooks = Vec::new();
        for (index, webhook) in raw.webhooks.iter().enumerate() {
            let at = at.field("webhooks").item(index);
            if let Some(name) = &webhook.name
                && !names.insert(name)
            {
                self.report(&at.field("name"), format!("another webhook is called `{name}` too"));
            }
            webhooks.push(self.webhook(webhook, &at));
        }
        let webhooks = webhooks.into_iter().collect::<Option<_>>();
        Some(EventSettings { file: if_written(file)?, webhooks: webhooks? })
    }

    fn webhook(&mut self, raw: &Webhook, at: &Path) -> Option<WebhookSettings> {
        self.exactly_one(at, &["url", "url_file", "url_variable"]);
        let url = match &raw.url {
            Some(url) => url.0.clone(),
            None => self.secret_url(raw, at)?,
        };
        let (file, variable) = (raw.secret_file.as_ref(), raw.secret_variable.as_deref());
        let secret = if file.is_some() || variable.is_some() {
            self.exactly_one(at, &["secret_file", "secret_variable"]);
            Some(Secret::new(&self.secret("secret", file, variable, at)?))
        } else {
            None
        };
        let least = Duration::from_secs(1);
        let timeout = self.at_least(raw.timeout, least, &at.field("timeout"));
        let budget = self.at_least(raw.give_up, least, &at.field("give_up"));
        let usual = WebhookSettings::new(raw.name.as_ref()?.as_str(), url, secret);
        Some(WebhookSettings { queue: as_usize(raw.queue.into()), timeout, budget, ..usual })
    }

    /// An address that is a secret itself.
    fn secret_url(&mut self, raw: &Webhook, at: &Path) -> Option<Url> {
        let (file, variable) = (raw.url_file.as_ref(), raw.url_variable.as_deref());
        let text = self.secret("url", file, variable, at)?;
        let text = match self.surroundings.secrets {
            Secrets::Read => text,
            Secrets::Skip => "https://unread.invalid/".to_owned(),
        };
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            let field = if file.is_some() { "url_file" } else { "url_variable" };
            self.report(&at.field(field), "what it holds is no `http` or `https` address");
        }
        url
    }
}
