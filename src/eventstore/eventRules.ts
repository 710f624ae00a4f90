/**
 * The rules of an event class in the form in which they are run: class-validator's, read once per class. What
 * class-validator does for each object (it collects the rules of the class, sorts them by field, makes an error for every
 * field and searches each rule's instance among those of the whole program) is done here once, so that an event that is
 * valid costs its rules alone.
 *
 * Says only "all rules hold" or "ask class-validator", which remains the judge: whatever fails here, and every class with
 * rules of a kind that is not run here (nested, promises), goes to it. Conditions, `each` and `validateIf` mean here what
 * they mean there; upstream: `ValidationExecutor.execute`, `customValidations`.
 */
import {
  getMetadataStorage,
  type MetadataStorage,
  ValidationTypes,
  type ValidatorConstraintInterface,
} from 'class-validator';

type RuleMetadata = ReturnType<MetadataStorage['getTargetValidationMetadatas']>[number];

interface Rule {
  metadata: RuleMetadata;
  constraint: ValidatorConstraintInterface;
}

interface FieldRules {
  field: string;
  /** `@ValidateIf`, `@IsOptional`: unless all agree, the field is not looked at. */
  conditions: readonly ((instance: object, value: unknown) => unknown)[];
  rules: readonly Rule[];
}

type ClassRules = readonly FieldRules[];

/** By class; 'other' has rules of a kind that is not run here. */
const known = new WeakMap<object, ClassRules | 'other'>();

/** True when all rules of the instance's class hold. False: class-validator has to be asked. */
export function holdsAllRules(instance: object): boolean {
  const { constructor: eventClass } = instance;
  if (typeof eventClass !== 'function') return false;
  let classRules = known.get(eventClass);
  if (!classRules) {
    classRules = rulesOf(eventClass);
    known.set(eventClass, classRules);
  }
  if (classRules === 'other') return false;
  for (const { field, conditions, rules } of classRules) {
    const value = (instance as Record<string, unknown>)[field];
    if (!conditions.every((agrees) => agrees(instance, value))) continue;
    for (const rule of rules) if (!holds(rule, instance, value, eventClass.name)) return false;
  }
  return true;
}

function holds({ metadata, constraint }: Rule, object: object, value: unknown, targetName: string): boolean {
  const { validateIf, propertyName: property, constraints, each } = metadata;
  if (validateIf && !validateIf(object, value)) return true;
  const about = { targetName, property, object, value, constraints };
  if (!each) return Boolean(constraint.validate(value, about));
  // Events come from JSON: sets and maps are for class-validator to judge.
  if (value instanceof Set || value instanceof Map) return false;
  if (!Array.isArray(value)) return Boolean(constraint.validate(value, about));
  return value.every((one) => constraint.validate(one, about));
}

function rulesOf(eventClass: object): ClassRules | 'other' {
  const storage = getMetadataStorage();
  const all = storage.getTargetValidationMetadatas(eventClass as () => void, '', false, false);
  const fields = new Map<string, { conditions: FieldRules['conditions'][number][]; rules: Rule[] }>();
  for (const metadata of all) {
    const { propertyName, type, constraintCls, constraints } = metadata;
    const of = fields.get(propertyName) ?? { conditions: [], rules: [] };
    fields.set(propertyName, of);
    if (type === ValidationTypes.WHITELIST) continue;
    if (type === ValidationTypes.CONDITIONAL_VALIDATION) of.conditions.push(constraints[0]);
    else if (type !== ValidationTypes.CUSTOM_VALIDATION && type !== ValidationTypes.IS_DEFINED) return 'other';
    else {
      for (const { async: isAsync, instance } of storage.getTargetValidatorConstraints(constraintCls)) {
        // Passed over there, too, where an answer is wanted at once.
        if (!isAsync) of.rules.push({ metadata, constraint: instance });
      }
    }
  }
  return [...fields]
    .filter(([, { rules }]) => rules.length > 0)
    .map(([field, { conditions, rules }]) => ({ field, conditions, rules }));
}
