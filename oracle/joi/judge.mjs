// Reads a list of {schema, body} and writes whether Joi takes each. A body is
// the text of a request, read as express.json() reads it; none at all is undefined.
import { readFileSync } from 'node:fs';
import { schemas } from './schemas.mjs';

function takes(schema, text) {
  let value;
  if (text !== '') {
    try {
      value = JSON.parse(text);
    } catch {
      return false;
    }
  }
  return schemas[schema].validate(value).error === undefined;
}

const questions = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(questions.map(({ schema, body }) => takes(schema, body))));
