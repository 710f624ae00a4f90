/**
 * Method: class-validator is the model. On random values, the rules of a class hold here exactly when class-validator finds
 * nothing wrong; a class with rules of a kind that is not run here is always left to it.
 */
import {
  Allow,
  IsArray,
  IsDefined,
  IsEmail,
  IsIn,
  IsInt,
  IsOptional,
  IsString,
  MaxLength,
  Min,
  Validate,
  ValidateIf,
  ValidateNested,
  ValidatorConstraint,
  type ValidatorConstraintInterface,
  validateSync,
} from 'class-validator';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdsAllRules } from '../../src/eventstore/eventRules.js';

const runs = Number(process.env['FUZZ_RUNS'] ?? 2_000);

@ValidatorConstraint({ name: 'even' })
class IsEven implements ValidatorConstraintInterface {
  validate(value: unknown): boolean {
    return typeof value === 'number' && value % 2 === 0;
  }
}

@ValidatorConstraint({ name: 'later', async: true })
class NeverLater implements ValidatorConstraintInterface {
  async validate(): Promise<boolean> {
    return false;
  }
}

class Base {
  @IsString() @MaxLength(3) text: unknown;
  @Allow() anything: unknown;
}

class Everything extends Base {
  @IsInt() @Min(1) count: unknown;
  @IsOptional() @IsIn(['DE', 'FR'], { message: 'no country' }) country: unknown;
  @ValidateIf((it: Everything) => it.count === 2) @IsEmail() email: unknown;
  @IsArray() @IsInt({ each: true }) list: unknown;
  @IsString({ each: true }) words: unknown;
  @IsDefined() there: unknown;
  @Validate(IsEven) even: unknown;
  @Validate(NeverLater) later: unknown;
  @IsString({ validateIf: (_, value) => value !== 7 }) sometimes: unknown;
}

const isValid = (instance: object): boolean =>
  validateSync(instance, { forbidUnknownValues: false, validationError: { target: false, value: false } }).length === 0;

const value = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    0,
    1,
    2,
    7,
    0.5,
    Number.NaN,
    '',
    'DE',
    'abc',
    'abcd',
    'a@example.org',
    true,
  ),
  fc.array(fc.constantFrom<unknown>(1, 'a', null, 0.5), { maxLength: 3 }),
  fc.constantFrom<unknown>(new Set([1]), new Set(['a', 1]), new Map([[1, 'a']]), {}),
);

/** Right in all fields, so that a few wrong ones decide. */
const right: Record<keyof Everything, unknown> = {
  text: 'abc',
  anything: undefined,
  count: 2,
  country: 'DE',
  email: 'a@example.org',
  list: [1, 2],
  words: ['a'],
  there: 0,
  even: 4,
  later: 'x',
  sometimes: 7,
};

const fields = fc
  .record({ changed: fc.dictionary(fc.constantFrom(...Object.keys(right)), value, { maxKeys: 3 }) })
  .map(({ changed }) => ({ ...right, ...changed }));

describe('the rules of an event class', () => {
  it('hold exactly when class-validator finds nothing wrong', () => {
    let valid = 0;
    fc.assert(
      fc.property(fields, (given) => {
        const instance = Object.assign(new Everything(), given);
        const expected = isValid(instance);
        valid += expected ? 1 : 0;
        // Sets and maps do not come from JSON and are left to class-validator.
        const isLeft = [given.list, given.words].some((one) => one instanceof Set || one instanceof Map);
        expect(holdsAllRules(instance)).toBe(expected && !isLeft);
      }),
      { numRuns: runs },
    );
    expect(valid).toBeGreaterThan(runs / 20);
  });

  it('hold for a class without any', () => {
    class Free {}
    expect(holdsAllRules(new Free())).toBe(true);
  });

  it('are left to class-validator where some are nested', () => {
    class Outer {
      @ValidateNested() inner = new Everything();
    }
    expect(holdsAllRules(new Outer())).toBe(false);
  });

  it('are left to class-validator for an object that hides its class', () => {
    expect(holdsAllRules(Object.assign(new Everything(), right, { constructor: 1 }))).toBe(false);
  });

  it('are those of each class where one extends another', () => {
    expect(holdsAllRules(Object.assign(new Base(), { text: 'abc' }))).toBe(true);
    expect(holdsAllRules(Object.assign(new Everything(), { ...right, text: 'abcd' }))).toBe(false);
  });
});
