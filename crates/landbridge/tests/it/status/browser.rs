//! A page in a headless Chromium, where it may run no scripts.
//!
//! With its scripts off, Chromium 156 dumps nothing. So the page is shown in frames that may not run any, within a
//! page of ours that may, and which looks at them: what is to be read in them, and what is wider than it should be.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};
use landbridge_testkit::run;
use serde::Deserialize;

use crate::running::LIMIT;

/// A page as it is shown.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    pub(crate) width: u32,
    pub(crate) is_dark: bool,
    /// What there is to read.
    pub(crate) text: String,
    /// How wide the content is, which is more than `width` if it overflows.
    pub(crate) content_width: u32,
    /// What the page loaded beside itself.
    pub(crate) loaded: u32,
    /// The lowest contrast of text and what is behind it (WCAG 2.2, section 1.4.3).
    pub(crate) contrast: f64,
    /// The elements that have an overflow of their own.
    pub(crate) overflowing: Vec<String>,
}

const LOOK: &str = r#"
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = colour => {
  const [r, g, b] = colour.match(/[\d.]+/g).map(Number);
  return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
};
const look = frame => {
  const page = frame.contentDocument, view = frame.contentWindow;
  const back = luminance(view.getComputedStyle(page.body).backgroundColor);
  const texts = [...page.body.querySelectorAll("*")].filter(it => it.innerText && it.innerText.trim());
  const contrasts = texts.map(it => {
    const front = luminance(view.getComputedStyle(it).color);
    return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
  });
  const wide = texts.filter(it => !it.closest("thead") && it.clientWidth && it.scrollWidth > it.clientWidth + 1);
  return {
    width: frame.clientWidth,
    is_dark: frame.style.colorScheme === "dark",
    text: page.body.innerText,
    content_width: page.documentElement.scrollWidth,
    loaded: view.performance.getEntriesByType("resource").length,
    contrast: Math.min(...contrasts),
    overflowing: wide.map(it => it.localName),
  };
};
addEventListener("load", () => {
  const shown = [...document.querySelectorAll("iframe")].map(look);
  const escaped = JSON.stringify(shown).replace(/[<>&\u0080-\uffff]/g, c => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  document.body.textContent = "BEGIN" + escaped + "END";
});
"#;

/// Shows `html` at each of these widths, light and dark.
pub(crate) fn show(html: &str, widths: &[u32]) -> Result<Vec<Shown>> {
    let directory = tempfile::tempdir()?;
    let source = html.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width: u32, scheme| {
        let style = format!("width:{width}px;height:700px;border:0;color-scheme:{scheme}");
        format!(
            "<iframe sandbox=\"allow-same-origin\" style=\"{style}\" srcdoc=\"{source}\"></iframe>\n"
        )
    };
    let frames: String =
        widths.iter().flat_map(|&width| ["light", "dark"].map(|it| frame(width, it))).collect();
    let file = directory.path().join("frames.html");
    let page = format!("<!doctype html><meta charset=utf-8><script>{LOOK}</script><body>{frames}");
    fs::write(&file, page)?;
    let dom = dump(&format!("file://{}", file.display()))?;
    let found = dom.rsplit_once("BEGIN").and_then(|(_, rest)| rest.split_once("END"));
    let (json, _) = found.with_context(|| format!("nothing was found in {dom}"))?;
    Ok(serde_json::from_str(json)?)
}

/// What a page is made into.
pub(crate) fn dump(url: &str) -> Result<String> {
    let profile = tempfile::tempdir()?;
    let mut command = Command::new("chromium");
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--dump-dom", url]);
    Ok(run(&mut command, LIMIT)?.text().clone())
}
