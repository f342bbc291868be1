//! Keys and tokens of a known form, addresses with a password, and HTTP credentials, anywhere in a text.

use super::{Resemblance, address::Addresses, words};

/// Bytes of a token that are looked at. No form needs more.
const LONGEST: usize = 160;

/// The forms of tokens: how they begin, which characters follow, and at least how many.
pub(super) const TOKENS: &[(&str, Alphabet, usize, Resemblance)] = &[
    ("AKIA", Alphabet::Capitals, 16, "an AWS access key"),
    ("ASIA", Alphabet::Capitals, 16, "an AWS access key"),
    ("AGE-SECRET-KEY-1", Alphabet::Capitals, 50, "an age key"),
    ("AIza", Alphabet::Url, 35, "a Google API key"),
    ("ATATT3", Alphabet::Url, 60, "an Atlassian token"),
    ("AccountKey=", Alphabet::Base64, 40, "an Azure storage key"),
    ("GOCSPX-", Alphabet::Url, 20, "a Google client secret"),
    ("LTAI", Alphabet::Letters, 20, "an Alibaba Cloud access key"),
    ("NRAK-", Alphabet::Capitals, 25, "a New Relic key"),
    ("PMAK-", Alphabet::Url, 50, "a Postman key"),
    ("SG.", Alphabet::Dotted, 60, "a SendGrid key"),
    ("SharedAccessKey=", Alphabet::Base64, 30, "an Azure access key"),
    ("dapi", Alphabet::Hex, 32, "a Databricks token"),
    ("dckr_pat_", Alphabet::Url, 20, "a Docker token"),
    ("discord.com/api/webhooks/", Alphabet::Path, 40, "a Discord webhook, which lets anybody post"),
    ("discordapp.com/api/webhooks/", Alphabet::Path, 40, "a Discord webhook, which lets anybody post"),
    ("dop_v1_", Alphabet::Hex, 60, "a DigitalOcean token"),
    ("dp.ct.", Alphabet::Letters, 40, "a Doppler token"),
    ("dp.pt.", Alphabet::Letters, 40, "a Doppler token"),
    ("dp.st.", Alphabet::Dotted, 40, "a Doppler token"),
    ("eyJ", Alphabet::Dotted, 30, "a JSON Web Token"),
    ("ghp_", Alphabet::Letters, 36, "a GitHub token"),
    ("gho_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghu_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghs_", Alphabet::Letters, 36, "a GitHub token"),
    ("ghr_", Alphabet::Letters, 36, "a GitHub token"),
    ("github_pat_", Alphabet::Url, 22, "a GitHub token"),
    ("glc_", Alphabet::Base64, 40, "a Grafana token"),
    ("gldt-", Alphabet::Url, 20, "a GitLab token"),
    ("glpat-", Alphabet::Url, 20, "a GitLab token"),
    ("glptt-", Alphabet::Url, 20, "a GitLab token"),
    ("glrt-", Alphabet::Url, 20, "a GitLab token"),
    ("glsa_", Alphabet::Url, 30, "a Grafana token"),
    ("hf_", Alphabet::Letters, 30, "a Hugging Face token"),
    ("hooks.slack.com/services/", Alphabet::Path, 30, "a Slack webhook, which lets anybody post"),
    ("hooks.slack.com/triggers/", Alphabet::Path, 30, "a Slack webhook, which lets anybody post"),
    ("hooks.slack.com/workflows/", Alphabet::Path, 30, "a Slack webhook, which lets anybody post"),
    ("hooks.zapier.com/hooks/catch/", Alphabet::Path, 12, "a Zapier webhook, which lets anybody post"),
    ("hvb.", Alphabet::Url, 24, "a Vault token"),
    ("hvs.", Alphabet::Url, 24, "a Vault token"),
    ("lin_api_", Alphabet::Letters, 30, "a Linear key"),
    ("npm_", Alphabet::Letters, 36, "an npm token"),
    ("ntn_", Alphabet::Letters, 40, "a Notion token"),
    ("ops_eyJ", Alphabet::Base64, 100, "a 1Password token"),
    ("outlook.office.com/webhook/", Alphabet::Path, 40, "a Teams webhook, which lets anybody post"),
    ("pul-", Alphabet::Hex, 40, "a Pulumi token"),
    ("pypi-", Alphabet::Url, 50, "a PyPI token"),
    ("rk_live_", Alphabet::Letters, 16, "a Stripe key"),
    ("rk_test_", Alphabet::Letters, 16, "a Stripe key"),
    ("sbp_", Alphabet::Hex, 40, "a Supabase token"),
    ("secret_", Alphabet::Letters, 40, "a Notion token"),
    ("shpat_", Alphabet::Hex, 32, "a Shopify token"),
    ("shpss_", Alphabet::Hex, 32, "a Shopify secret"),
    ("sk-", Alphabet::Url, 32, "an API key"),
    ("sk_live_", Alphabet::Letters, 16, "a Stripe key"),
    ("sk_test_", Alphabet::Letters, 16, "a Stripe key"),
    ("sntrys_", Alphabet::Base64, 40, "a Sentry token"),
    ("tskey-", Alphabet::Url, 20, "a Tailscale key"),
    ("webhook.office.com/webhookb2/", Alphabet::Path, 40, "a Teams webhook, which lets anybody post"),
    ("whsec_", Alphabet::Letters, 24, "a webhook's signing key"),
    ("xapp-", Alphabet::Url, 20, "a Slack token"),
    ("xkeysib-", Alphabet::Hex, 60, "a Brevo key"),
    ("xoxa-", Alphabet::Url, 10, "a Slack token"),
    ("xoxb-", Alphabet::Url, 10, "a Slack token"),
    ("xoxe-", Alphabet::Url, 10, "a Slack token"),
    ("xoxe.", Alphabet::Url, 10, "a Slack token"),
    ("xoxp-", Alphabet::Url, 10, "a Slack token"),
    ("xoxr-", Alphabet::Url, 10, "a Slack token"),
    ("xoxs-", Alphabet::Url, 10, "a Slack token"),
    ("ya29.", Alphabet::Url, 20, "a Google token"),
];

/// The characters of a token after its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) enum Alphabet {
    /// `0-9a-f`.
    Hex,
    /// `0-9A-Z`.
    Capitals,
    /// Letters and digits.
    Letters,
    /// Letters, digits, `-` and `_`.
    Url,
    /// Letters, digits, `+`, `/` and `=`.
    Base64,
    /// Letters, digits, `-`, `_` and dots, of which one at least.
    Dotted,
    /// What stands in the path of an address.
    Path,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Hex => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            Alphabet::Capitals => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
            Alphabet::Letters => byte.is_ascii_alphanumeric(),
            Alphabet::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Alphabet::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Alphabet::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
            Alphabet::Path => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'@')
            }
        }
    }
}

/// A key or token of a known form, an address with a password, or HTTP credentials, anywhere in the text.
pub(super) fn find(text: &str) -> Option<Resemblance> {
    let bytes = text.as_bytes();
    let mut addresses = Addresses::new(text);
    let mut inside_word = false;
    for (at, byte) in bytes.iter().enumerate() {
        let rest = &bytes[at..];
        if *byte == b':' && rest.starts_with(b"://") {
            if let Some(found) = addresses.at(at) {
                return Some(found);
            }
        } else if !inside_word && let Some(found) = at_word(rest) {
            return Some(found);
        }
        inside_word = byte.is_ascii_alphanumeric() || *byte == b'_';
    }
    None
}

/// What the beginning of a word looks like.
fn at_word(rest: &[u8]) -> Option<Resemblance> {
    match rest.first()? {
        b'-' if rest.starts_with(b"-----BEGIN ") => {
            let line = rest.iter().take(64).position(|b| *b == b'\n').unwrap_or(rest.len().min(64));
            let is_private = rest[..line].windows(11).any(|words| words == b"PRIVATE KEY");
            is_private.then_some("a private key")
        }
        b'B' | b'b' => http_credentials(rest),
        _ => token(rest),
    }
}

/// `Basic dXNlcjpwYXNz` and `Bearer q9X2…`.
fn http_credentials(rest: &[u8]) -> Option<Resemblance> {
    let after = |scheme: &[u8]| {
        let (begin, after) = rest.split_at_checked(scheme.len())?;
        begin.eq_ignore_ascii_case(scheme).then_some(after)
    };
    let run = |after: &[u8], has: fn(u8) -> bool| after.iter().take(LONGEST).take_while(|b| has(**b)).count();
    if let Some(after) = after(b"basic ") {
        let length = run(after, |b| Alphabet::Base64.has(b));
        return is_user_and_password(&after[..length]).then_some("a user and password in base64");
    }
    let after = after(b"bearer ")?;
    if let Some(found) = token(after) {
        return Some(found);
    }
    let length = run(after, |b| Alphabet::Dotted.has(b) || Alphabet::Base64.has(b));
    let token = str::from_utf8(&after[..length]).ok()?;
    (length >= 16 && words::is_random(token)).then_some("a bearer token")
}

/// Whether bytes are the base64 of `user:password`.
fn is_user_and_password(base64: &[u8]) -> bool {
    let mut decoded = Vec::with_capacity(base64.len());
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in base64.iter().take_while(|b| **b != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            _ => 63,
        };
        bits = (bits << 6 | u32::from(six)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count & 0xff) as u8);
        }
    }
    let colon = decoded.iter().position(|b| *b == b':');
    colon.is_some_and(|at| at + 1 < decoded.len())
        && decoded.iter().all(|b| (b' '..=b'~').contains(b) || *b >= 0x80)
}

/// A token at the beginning of a text.
fn token(bytes: &[u8]) -> Option<Resemblance> {
    let [first, second, ..] = bytes else { return None };
    let may_be = match first {
        b'A' => b"KSGITc".contains(second),
        b'G' => *second == b'O',
        b'L' => *second == b'T',
        b'N' => *second == b'R',
        b'P' => *second == b'M',
        b'S' => b"Gh".contains(second),
        b'd' => b"aciop".contains(second),
        b'e' => *second == b'y',
        b'g' => b"hil".contains(second),
        b'h' => b"fov".contains(second),
        b'l' => *second == b'i',
        b'n' => b"pt".contains(second),
        b'o' => b"pu".contains(second),
        b'p' => b"yu".contains(second),
        b'r' => *second == b'k',
        b's' => b"bekhn".contains(second),
        b't' => *second == b's',
        b'w' => b"he".contains(second),
        b'x' => b"aok".contains(second),
        b'y' => *second == b'a',
        _ => false,
    };
    if !may_be {
        return None;
    }
    TOKENS.iter().filter(|(begin, ..)| bytes.starts_with(begin.as_bytes())).find_map(
        |(begin, alphabet, least, what)| {
            let rest = &bytes[begin.len()..];
            let length = rest.iter().take(LONGEST).take_while(|byte| alphabet.has(**byte)).count();
            let body = &rest[..length];
            let random = body.iter().any(u8::is_ascii_digit) && body.iter().any(u8::is_ascii_alphabetic);
            let dotted = !matches!(alphabet, Alphabet::Dotted) || body.contains(&b'.');
            let whole = !matches!(alphabet, Alphabet::Capitals | Alphabet::Hex)
                || !rest.get(length).is_some_and(u8::is_ascii_alphanumeric);
            (length >= *least && random && dotted && whole).then_some(*what)
        },
    )
}
