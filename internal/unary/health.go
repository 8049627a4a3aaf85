package unary

const healthCheckPath = "/grpc.health.v1.Health/Check"

// health answers grpc.health.v1.Health/Check. The request is one optional string,
// field 1, the answer one number, so both are read and written by hand.
func (c *conn) health(st *stream, message []byte) {
	service, ok := "", len(message) == 0
	if len(message) >= 2 && message[0] == 0x0a && message[1] < 0x80 && int(message[1]) == len(message)-2 {
		service, ok = string(message[2:]), true
	}
	if !ok {
		c.reply(st, statusInvalid)
		return
	}
	serving, known := c.server.config.Health(service)
	switch {
	case !known:
		c.reply(st, statusNotFound)
	case serving:
		c.send(st, []byte{0x08, 1})
	default:
		c.send(st, []byte{0x08, 2})
	}
}
