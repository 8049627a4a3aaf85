// Schemas as an Express user writes them. schemas.json says the same as JSON Schema;
// cases.json holds what both are asked.
import Joi from 'joi';

const text = Joi.string();
const person = Joi.object({ email: text.email().required() });

export const schemas = {
  user: Joi.object({
    name: text.min(3).required(),
    email: text.email().required(),
    password: text.min(6).required(),
  }),
  profile: Joi.object({
    nickname: text.min(1).max(8),
    bio: text.allow('').max(20),
    phone: text.allow(null).pattern(/^\+[0-9]{6,14}$/),
    address: Joi.object({
      city: text.required(),
      zip: text.pattern(/^[0-9]{5}$/),
      geo: Joi.object({ lat: Joi.number().min(-90).max(90).required(), lon: Joi.number().min(-180).max(180).required() }),
    }).required(),
  }),
  order: Joi.object({
    items: Joi.array().items(Joi.object({
      sku: text.pattern(/^[A-Z]{3}-[0-9]{4}$/).required(),
      quantity: Joi.number().integer().min(1).max(100).required(),
    })).min(1).max(3).required(),
    currency: text.valid('EUR', 'USD').required(),
    gift: Joi.boolean(),
  }),
  numbers: Joi.object({
    age: Joi.number().integer().min(18),
    score: Joi.number().min(0).less(1),
    step: Joi.number().multiple(5),
    any: Joi.number(),
  }),
  tags: Joi.object({
    tags: Joi.array().items(text).unique().max(3),
  }),
  open: Joi.object({ name: text.required() }).unknown(true),
  contact: Joi.object({ email: text.email(), phone: text.min(6) }).or('email', 'phone'),
  either: Joi.object({ card: text, iban: text }).xor('card', 'iban'),
  together: Joi.object({ street: text, city: text }).with('street', 'city'),
  company: Joi.object({
    kind: text.valid('person', 'company').required(),
    vat: text.when('kind', { is: 'company', then: Joi.required() }),
  }),
  shared: Joi.object({ author: person.required(), editors: Joi.array().items(person) }),
  tree: Joi.object({ text: text.required(), answers: Joi.array().items(Joi.link('#tree')) }).id('tree'),
  formats: Joi.object({
    id: text.guid({ separator: '-' }),
    site: text.uri(),
    ip: text.ip({ version: 'ipv4', cidr: 'forbidden' }),
    host: text.hostname(),
    at: Joi.date().iso(),
  }),
  labels: Joi.object().pattern(/^[a-z]{2}$/, text.max(5)),
  list: Joi.array().items(Joi.number().integer()).max(3),
  email: person,
  idn: person,
};
