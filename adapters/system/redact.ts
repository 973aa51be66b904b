/**
 * The last line behind "facts never carry secrets": what an error quotes is not ours to choose. Credentials are told by their
 * form, wherever they stand in a text: after `Bearer`, before the host of a URL, as a JSON Web Token, as a key or a webhook's
 * secret of Candor, or behind a name for one.
 */
const CREDENTIAL =
  /(\b(?:bearer|basic) +)[\w\-.~+/]+=*|(:\/\/)[^\s/@]+(?=@)|\beyJ[\w-]+\.[\w-]+\.[\w-]+|\bcandor_[0-9a-z]{26}_[0-9a-z]{26}_[\w-]{43}|\bwhsec_[\w+/-]+=*|((?:token|secret|password|api_?key|authorization|signature)["']? *[=:] *["']?)(?!(?:bearer|basic) )[^\s"'&,}]+/gi;

export const redacted = (text: string): string => text.replace(CREDENTIAL, '$1$2$3***');

/** For `JSON.stringify`. */
export const redactText = (_key: string, value: unknown): unknown =>
  typeof value === 'string' ? redacted(value) : value;
