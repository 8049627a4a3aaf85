# METADATA
# title: Lint
# description: What is wrong with data.authz.config, found without any request.
package authz.lint

import data.authz.prepared

# METADATA
# description: |
#   Answers with credentials cannot be for everybody (Fetch, 3.3.3); a page that may
#   use them must be named.
faults contains {"section": "cors", "path": "cors.origins", "fault": "* cannot go with credentials"} if {
	prepared.config.cors.credentials == true
	"*" in prepared.config.cors.origins
}
