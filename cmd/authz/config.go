package main

// Config is the whole configuration of `authz run`: one YAML file, each scalar of
// which a flag (`--listen.socket`) or an environment variable (AUTHZ_LISTEN_SOCKET)
// overrides, flags first. The doc tags are the reference that users read: --help,
// the JSON Schema and docs/configuration.md are all made from them.
type Config struct {
	Listen   Listen   `key:"listen" doc:"Where Envoy asks its questions. Give a socket, an address, or both."`
	Ops      Ops      `key:"ops" doc:"The side door: health, readiness and metrics."`
	Policy   Policy   `key:"policy" doc:"The Rego policies that decide."`
	Issuers  []Issuer `key:"issuers" doc:"Who may sign tokens. None: every request is anonymous."`
	Token    Token    `key:"token" doc:"Where the token is found and how verified tokens are kept."`
	Request  Request  `key:"request" doc:"How requests are read."`
	App      App      `key:"app" doc:"What the application behind Envoy trusts."`
	Quotas   Quotas   `key:"quotas" doc:"Where quotas are counted, and what answers say of them."`
	Audit    Audit    `key:"audit" doc:"The decision log: one JSON line a decision."`
	Log      Log      `key:"log" doc:"The operating log, on standard error."`
	Shutdown Shutdown `key:"shutdown" doc:"How the process ends on SIGTERM."`
	Insecure Insecure `key:"insecure" doc:"Dangerous switches. Each one warns at start."`
}

// Listen is the front door.
type Listen struct {
	Socket         string   `key:"socket" doc:"Path of the Unix socket for Envoy. A successor takes the path over without a gap."`
	SocketMode     Mode     `key:"socket_mode" doc:"File mode of the socket, octal." default:"0660"`
	Address        string   `key:"address" doc:"TCP host:port for Envoy. Without tls it must be a loopback address."`
	TLS            TLS      `key:"tls" doc:"Certificates of the TCP listener; read again when the files change."`
	Transport      string   `key:"transport" doc:"How checks are carried: grpc-go, or lean, which spends a fraction of the CPU and answers gRPC health checks, but no health watching." default:"grpc-go"`
	CheckTimeout   Duration `key:"check_timeout" doc:"Longest time one check may take before it is refused. Keep it below the timeout of Envoy's ext_authz filter." default:"800ms"`
	MaxInFlight    int      `key:"max_in_flight" doc:"Checks under way at once; more are refused with 503." default:"1024"`
	MaxMessageSize Size     `key:"max_message_size" doc:"Largest check accepted, the request's body included." default:"4MiB"`
}

// TLS is a server identity and whom it trusts.
type TLS struct {
	CertFile     string `key:"cert_file" doc:"PEM certificate chain."`
	KeyFile      string `key:"key_file" doc:"PEM private key."`
	ClientCAFile string `key:"client_ca_file" doc:"PEM bundle; when set, clients must show a certificate signed by it (mTLS)."`
}

// Ops is the side door.
type Ops struct {
	Address string `key:"address" doc:"host:port of /livez, /readyz and /metrics." default:"127.0.0.1:9901"`
}

// Policy says which policies decide and how long they may take.
type Policy struct {
	Paths         []string `key:"paths" doc:"Directories of Rego and data files, or one OPA bundle (.tar.gz). Loaded together; watched for changes."`
	Library       bool     `key:"library" doc:"Load the built-in policy library (package authz) beside the paths. Switch it off when the paths hold a copy of it, or policies with an entry point of their own." default:"true"`
	Decision      string   `key:"decision" doc:"Entry point: the rule that decides, as a path." default:"authz/decision"`
	Routes        string   `key:"routes" doc:"Where in the data the route table is, as a path." default:"authz/config/routes"`
	Timeout       Duration `key:"timeout" doc:"Longest evaluation." default:"250ms"`
	CacheSize     Size     `key:"cache_size" doc:"Memory for remembered decisions. A decision is given again to a request that agrees in all that was read to make it, until the policy or its data change. 0: none is remembered." default:"0"`
	MaxConcurrent int      `key:"max_concurrent" doc:"Evaluations under way at once; 0 means four a processor." default:"0"`
	Builtins      []string `key:"allow_builtins" doc:"Rego built-ins to switch on again although they reach the network or the host (http.send, opa.runtime, net.lookup_ip_addr)."`
	Bundles       Bundles  `key:"bundles" doc:"Policies that are fetched from a server."`
	Poll          Duration `key:"poll" doc:"How often the files are looked at even without a change notice." default:"30s"`
}

// Bundles says which OPA bundles are fetched.
type Bundles struct {
	Config string `key:"config" doc:"Configuration file in OPA's format: its services, keys and bundles. Each bundle is fetched (HTTPS, S3 and its kin, OCI), verified where there are keys, and loaded beside the paths."`
	Dir    string `key:"dir" doc:"Where fetched bundles are kept, so that a restart needs no server."`
}

// Issuer is one party whose tokens are believed.
type Issuer struct {
	Name       string   `key:"name" doc:"Short name for logs and metrics. Default: the provider, or the issuer's host."`
	Provider   string   `key:"provider" doc:"Ready-made entry: google, github-actions, auth0, keycloak, entra or okta. It needs only its own parameters and an audience."`
	Domain     string   `key:"domain" doc:"For auth0 and okta: the tenant's domain, such as example.eu.auth0.com."`
	Tenant     string   `key:"tenant" doc:"For entra: the tenant id."`
	Realm      string   `key:"realm" doc:"For keycloak: the realm."`
	URL        string   `key:"url" doc:"For keycloak: its base URL."`
	Server     string   `key:"server" doc:"For okta: the authorization server's id (default: default)."`
	Issuer     string   `key:"issuer" doc:"The exact iss of its tokens. Alone, keys are found by OIDC discovery below it."`
	Discovery  string   `key:"discovery_url" doc:"Where the OIDC discovery document is, when not below the issuer."`
	JWKSURL    string   `key:"jwks_url" doc:"Where the key set is; no discovery."`
	JWKSFile   string   `key:"jwks_file" doc:"Key set in a local file, read again when it changes."`
	Secret     Secret   `key:"secret" doc:"Shared secret of at least 32 bytes, for HS256 only: env:NAME or file:PATH."`
	Audiences  []string `key:"audiences" doc:"The token's aud must hold one of these."`
	Algorithms []string `key:"algorithms" doc:"Signature algorithms allowed. Default: every asymmetric one (RS256 … EdDSA), or HS256 with a secret."`
	Roles      string   `key:"roles_claim" doc:"Where roles are: a claim's name, or a dotted path such as realm_access.roles. Default: roles, or what the provider uses."`
	Scopes     string   `key:"scopes_claim" doc:"Where scopes are (space-separated text or a list). Default: scope, or what the provider uses."`
	Leeway     Duration `key:"leeway" doc:"Clock difference forgiven for exp, nbf and iat; at most 5m." default:"30s"`
	MaxStale   Duration `key:"max_stale" doc:"How long the last good key set serves when the issuer fails." default:"24h"`
	Timeout    Duration `key:"timeout" doc:"Longest fetch of keys." default:"5s"`
	MinRefresh Duration `key:"min_refresh" doc:"Never refresh the keys more often than this, whatever Cache-Control says." default:"1m"`
	MaxRefresh Duration `key:"max_refresh" doc:"Never refresh the keys less often than this." default:"1h"`
	MinRefetch Duration `key:"refetch_window" doc:"At most one extra fetch in this time when tokens name unknown keys." default:"10s"`
	CAFile     string   `key:"ca_file" doc:"PEM bundle to trust for this issuer instead of the system's."`
}

// Token is how credentials are found and remembered.
type Token struct {
	Cookie    string `key:"cookie" doc:"Name of a cookie that may carry the token. Empty: the Authorization header only."`
	MaxSize   Size   `key:"max_size" doc:"Longest token looked at." default:"8KiB"`
	CacheSize Size   `key:"cache_size" doc:"Memory for verified tokens; 0 switches the cache off." default:"64MiB"`
}

// Request is how a request is read.
type Request struct {
	SkipBody      bool   `key:"skip_body" doc:"Do not parse bodies: parsed_body and truncated_body are then absent." default:"false"`
	DescriptorSet string `key:"descriptor_set" doc:"FileDescriptorSet (protoc --descriptor_set_out --include_imports) that lets policies read gRPC bodies."`
}

// App is what the application takes as true.
type App struct {
	IdentityHeaders []string `key:"identity_headers" doc:"Headers by which the app knows its caller. A client's own, and their underscore twins, never reach it." default:"x-user-id,x-user-roles,x-user-scopes,x-auth-subject"`
}

// Quotas says where quotas are counted.
type Quotas struct {
	Redis         Redis `key:"redis" doc:"A Redis or Valkey in which all replicas count together. Without addresses each replica counts alone."`
	MaxKeys       int   `key:"max_keys" doc:"Keys kept at once; about 60 bytes each. Beyond it the least used are folded together, never forgotten." default:"1000000"`
	LegacyHeaders bool  `key:"legacy_headers" doc:"Also send the older X-RateLimit-Limit, X-RateLimit-Remaining and X-RateLimit-Reset (seconds until the whole allowance is back), beside the standard RateLimit and RateLimit-Policy." default:"false"`
}

// Redis is the shared quota store.
type Redis struct {
	Addresses        []string `key:"addresses" doc:"host:port of the server; in mode sentinel of the sentinels, in mode cluster of some nodes."`
	Mode             string   `key:"mode" doc:"single, sentinel or cluster." default:"single"`
	Master           string   `key:"master" doc:"In mode sentinel: the name of the master."`
	Username         string   `key:"username" doc:"ACL user. Empty: the default user."`
	Password         Secret   `key:"password" doc:"Its password: env:NAME or file:PATH."`
	SentinelUsername string   `key:"sentinel_username" doc:"ACL user of the sentinels."`
	SentinelPassword Secret   `key:"sentinel_password" doc:"Its password: env:NAME or file:PATH."`
	DB               int      `key:"db" doc:"Database number; 0 in mode cluster." default:"0"`
	TLS              RedisTLS `key:"tls" doc:"TLS to the servers."`
	Prefix           string   `key:"prefix" doc:"First part of every key. Services with the same prefix share their quotas." default:"authz:"`
	Timeout          Duration `key:"timeout" doc:"Longest wait of a check for the store; then the fallback answers." default:"10ms"`
	Lease            Duration `key:"lease" doc:"How long units of a busy key may be held by a replica, at most a tenth of the quota's window. They spare round trips; in any interval at most lease/window of a limit more may pass. 0: every check asks the store." default:"200ms"`
	Fallback         string   `key:"fallback" doc:"While the store does not answer: local (each replica counts alone, limits divided by replicas), deny (503), or allow (nothing is counted)." default:"local"`
	Replicas         int      `key:"replicas" doc:"What limits are divided by in fallback local: the usual number of replicas." default:"1"`
	PoolSize         int      `key:"pool_size" doc:"Connections to each server; 0 means ten a processor." default:"0"`
}

// RedisTLS is TLS to the shared quota store.
type RedisTLS struct {
	Enabled    bool   `key:"enabled" doc:"Use TLS." default:"false"`
	CAFile     string `key:"ca_file" doc:"PEM bundle to trust instead of the system's."`
	CertFile   string `key:"cert_file" doc:"PEM client certificate."`
	KeyFile    string `key:"key_file" doc:"PEM key of the client certificate."`
	ServerName string `key:"server_name" doc:"Name that the server's certificate must have. Default: the host of its address."`
}

// Audit is the decision log.
type Audit struct {
	Output string `key:"output" doc:"stdout, stderr, none, or a file's path." default:"stdout"`
	Buffer int    `key:"buffer" doc:"Records that may wait for the writer; more are dropped and counted." default:"8192"`
}

// Log is the operating log.
type Log struct {
	Level  string `key:"level" doc:"debug, info, warn or error." default:"info"`
	Format string `key:"format" doc:"json or text." default:"json"`
}

// Shutdown is the end of the process.
type Shutdown struct {
	Linger Duration `key:"linger" doc:"After SIGTERM, keep serving until Envoy has gone or a successor owns the socket, at most this long." default:"20s"`
	Grace  Duration `key:"grace" doc:"Then let checks under way finish, at most this long." default:"5s"`
}

// Insecure holds what nobody should need.
type Insecure struct {
	LenientRequests bool `key:"lenient_requests" doc:"Let ambiguous paths, headers and bodies through to the policy." default:"false"`
	PlaintextTCP    bool `key:"plaintext_tcp" doc:"Listen on a TCP address that is not loopback without TLS." default:"false"`
	HTTPIssuers     bool `key:"http_issuers" doc:"Fetch keys over plain http from hosts that are not loopback." default:"false"`
	AnyAudience     bool `key:"any_audience" doc:"Accept issuers without audiences: a token made for another service is then valid here." default:"false"`
}

// warnings says which dangerous switches are on.
func (c *Config) warnings() []string {
	var out []string
	for _, s := range []struct {
		on        bool
		key, what string
	}{
		{c.Insecure.LenientRequests, "insecure.lenient_requests", "ambiguous requests reach the policy and the app"},
		{c.Insecure.PlaintextTCP, "insecure.plaintext_tcp", "checks and answers cross the network in clear"},
		{c.Insecure.HTTPIssuers, "insecure.http_issuers", "whoever is on the path can replace the keys"},
		{c.Insecure.AnyAudience, "insecure.any_audience", "tokens made for other services are accepted"},
	} {
		if s.on {
			out = append(out, s.key+": "+s.what)
		}
	}
	return out
}
