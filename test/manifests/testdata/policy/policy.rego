# One request an hour for everybody: enough to see every metric.
package authz

decision := {"allowed": true, "quotas": [{"name": "few", "key": ["all"], "limit": 1, "window": "1h"}]}
