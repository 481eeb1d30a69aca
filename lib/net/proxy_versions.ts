/** The versions of the PROXY protocol, as `--proxy-protocol` names them. */
export const PROXY_VERSIONS = ["v1", "v2"] as const;
export type ProxyVersion = typeof PROXY_VERSIONS[number];
