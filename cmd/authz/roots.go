package main

// The image holds nothing but this program. Where the system has no certificate
// authorities, those that Mozilla trusts are used, as they were when it was built; a
// mounted bundle (SSL_CERT_FILE, or /etc/ssl/certs) goes before them.
import _ "golang.org/x/crypto/x509roots/fallback"
