# METADATA
# title: Settings
# description: |
#   Each section of data.authz.config over its defaults, key by key. A section of
#   the wrong type has no settings; the rows that need it then refuse, and
#   package authz.lint says why.
package authz.settings

import data.authz.defaults

# METADATA
# description: HTTPS, redirect and HSTS.
https := defaults.https if not data.authz.config.https

else := object.union(defaults.https, data.authz.config.https)

# METADATA
# description: Which origins may read answers.
cors := defaults.cors if not data.authz.config.cors

else := object.union(defaults.cors, data.authz.config.cors)

# METADATA
# description: Authentication.
authn := defaults.authn if not data.authz.config.authn

else := object.union(defaults.authn, data.authz.config.authn)

# METADATA
# description: Cross-site request forgery.
csrf := defaults.csrf if not data.authz.config.csrf

else := object.union(defaults.csrf, data.authz.config.csrf)

# METADATA
# description: Quotas.
quotas := defaults.quotas if not data.authz.config.quotas

else := object.union(defaults.quotas, data.authz.config.quotas)

# METADATA
# description: Security headers.
headers := defaults.headers if not data.authz.config.headers

else := object.union(defaults.headers, data.authz.config.headers)

# METADATA
# description: What the app is told of its caller.
identity := defaults.identity if not data.authz.config.identity

else := object.union(defaults.identity, data.authz.config.identity)

# METADATA
# description: Bounds of what a request may carry.
constraints := defaults.constraints if not data.authz.config.constraints

else := object.union(defaults.constraints, data.authz.config.constraints)

# METADATA
# description: Text that carries script.
xss := defaults.xss if not data.authz.config.xss

else := object.union(defaults.xss, data.authz.config.xss)

# METADATA
# description: The response side.
response := defaults.response if not data.authz.config.response

else := object.union(defaults.response, data.authz.config.response)

# METADATA
# description: |
#   Every section could be read. The sections that could open something when they
#   are missing are named here, so that a slip in the data closes the door.
readable if {
	is_object(https)
	is_object(cors)
	is_object(csrf)
	is_object(quotas)
	is_object(headers)
	is_object(identity)
	is_object(constraints)
	is_object(xss)
	is_object(response)
}
